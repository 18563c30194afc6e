"""The files of deploy/: linters and validators accept them, and each runs every process of the Procfile."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flagsite.development.servers import ROOT
from orgs.importing import excel_sheet

DEPLOY = ROOT / "deploy"
PROGRAMS = Path(sys.executable).parent
YAML_RULES = (
    "{extends: default, rules: {line-length: {max: 120}, document-start: disable, comments: {min-spaces-from-content: "
    "2}, truthy: {check-keys: false}}}"
)


def processes() -> set[str]:
    return {line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(program: str) -> Any:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def test_the_yaml_files_have_no_faults() -> None:
    run(PROGRAMS / "yamllint", "--strict", "-d", YAML_RULES, DEPLOY)


@pytest.mark.skipif(not (PROGRAMS / "hadolint").exists(), reason="there is no hadolint for this kind of machine")
def test_the_dockerfile_has_no_faults() -> None:
    run(PROGRAMS / "hadolint", DEPLOY / "container" / "Dockerfile")


@needs("kubectl")
def test_kubernetes_accepts_the_manifests(tmp_path: Path) -> None:
    built = tmp_path / "built.yaml"
    built.write_text(run("kubectl", "kustomize", DEPLOY / "kubernetes"))
    run(PROGRAMS / "kubernetes-validate", "--strict", built)
    kinds = [document["kind"] for document in yaml.safe_load_all(built.read_text())]
    assert kinds.count("Deployment") == len(processes() - {"release"})


@needs("systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "flagsite@.service").read_text()
    installed = unit.replace("/opt/flagsite/bin/process", str(ROOT / "bin" / "process"))
    (tmp_path / "flagsite@.service").write_text(installed)
    (tmp_path / "flagsite@web.service").write_text(installed)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "flagsite@web.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "flagsite@web" not in done.stderr, done.stderr


def test_systemd_compose_and_kubernetes_run_every_process() -> None:
    target = set(re.findall(r"flagsite@(\w+)\.service", (DEPLOY / "systemd" / "flagsite.target").read_text()))
    services = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())["services"]
    manifests = {path.stem for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert target == processes() - {"release"}
    assert {tuple(service.get("command", ())) for service in services.values()} >= {(name,) for name in processes()}
    assert manifests == processes() | {"kustomization", "ingress"}


def test_a_process_of_the_procfile_starts_with_the_port_that_is_set(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin" / "process", tmp_path / "bin" / "process")
    (tmp_path / "Procfile").write_text(
        "release: echo once\nweb: echo ${HOST} $PORT ${WORKERS:-2}\nevents: echo $PORT\n"
    )
    program = tmp_path / "bin" / "process"
    assert run(program, "web") == "127.0.0.1 8000 2\n"
    assert run("env", "PORT=9000", "HOST=0.0.0.0", program, "web") == "0.0.0.0 9000 2\n"
    assert run(program, "events") == "8001\n"
    refused = subprocess.run([program, "wrb"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no process 'wrb'" in refused.stderr


def test_a_worker_has_memory_for_the_process_that_reads_a_workbook() -> None:
    manifest = yaml.safe_load((DEPLOY / "kubernetes" / "worker.yaml").read_text())
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Gi")) * 2**30
    assert limit >= excel_sheet.MAX_ADDRESS_SPACE_BYTES + 2**29
