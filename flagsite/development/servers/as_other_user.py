"""Run PostgreSQL, which refuses root, as `nobody` but with our own access to files: as_other_user.py DATA COMMAND...

The checkout may lie where no ordinary user can reach it (a folder of root's with mode 0700), and we change nothing
outside the data folder. There are two ways; the first that works is taken:

1. Become nobody and keep the one capability to open every file (CAP_DAC_OVERRIDE). Works for the real root, in
   containers too. The database's files then belong to nobody.
2. A user namespace in which we ourselves are called nobody. For containers whose root can become no other user, and
   for a user without an entry in /etc/passwd. The files stay ours.

This is a program of its own, because neither way is safe in a process with threads. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 4
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000

libc = ctypes.CDLL(None, use_errno=True)


def main(data: Path, command: list[str]) -> None:
    """Replace this process by the command. Ends with status 1 and the reason when neither way works."""
    user = other_user()
    ways = [(_become_user_with_access, user.pw_uid, user.pw_gid), (_enter_user_namespace, os.geteuid(), os.getegid())]
    for way, owner, group in ways if os.geteuid() == 0 else ways[1:]:
        if _is_possible(way, user, data, command):
            _change_owner(data, owner, group)
            way(user)
            os.execv(command[0], command)
    sys.exit(
        f"PostgreSQL does not run as user {os.geteuid()}, and here we may neither become {user.pw_name} nor make a "
        "user namespace. Run Flagsite as an ordinary user, or set DATABASE_URL to a PostgreSQL that runs already."
    )


def other_user() -> pwd.struct_passwd:
    """The user nobody, or else any user but root that has a name, because PostgreSQL asks for the name."""
    users = sorted(pwd.getpwall(), key=lambda user: (user.pw_name != "nobody", -user.pw_uid))
    return next(user for user in users if user.pw_uid)


def _is_possible(
    way: Callable[[pwd.struct_passwd], None], user: pwd.struct_passwd, data: Path, command: list[str]
) -> bool:
    """Whether this way is allowed here and leaves program and data in reach. A child tries, as no way leads back."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            way(user)
            list(data.parent.iterdir())
            status = 0 if os.access(command[0], os.R_OK | os.X_OK) else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _become_user_with_access(user: pwd.struct_passwd) -> None:
    # Without it the change of user drops the capability, and access(2), which PostgreSQL asks too, leaves it out.
    _require_success(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; then their upper halves
    _require_success(libc.capset(header, sets))
    _require_success(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))  # or exec would drop it


def _enter_user_namespace(user: pwd.struct_passwd) -> None:
    outer_user, outer_group = os.geteuid(), os.getegid()
    _require_success(libc.unshare(CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{user.pw_gid} {outer_group} 1")
    Path("/proc/self/uid_map").write_text(f"{user.pw_uid} {outer_user} 1")


def _require_success(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _change_owner(data: Path, owner: int, group: int) -> None:
    """Give the database's files to the user that PostgreSQL runs as, if an earlier start went the other way."""
    if not data.exists() or data.stat().st_uid == owner:
        return
    for folder, _, names in os.walk(data):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            os.chown(path, owner, group, follow_symlinks=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
