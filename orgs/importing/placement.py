"""The placement of an import's organizations: compute the nested set from arrays of numbers, then write it.

The functions read the temporary tables of `orgs.importing.staging`, which explains the references.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from flagsite.core.db.copy_in import copy_in, copy_row
from orgs.errors import ImportRefused
from orgs.importing.refusals import Refusals, quoted
from orgs.importing.staging import execute, rows_of
from orgs.tree import nested_set
from orgs.tree.nested_set import ROOT, LinkedOrganizations, NestedSet
from orgs.tree.signals import Placement

WRITE_BATCH_SIZE = 100_000
MAX_KEYS_OF_CIRCLE = 6


@dataclass(slots=True)
class ChangedTrees:
    """The trees that an import changes, in their old and their new form.

    `members` has the id of one organization of each existing tree, by the number of the tree.
    `former_parents` has the position of the former parent by the position of each moved organization. `ids` has the id
    of each organization by its position; a created organization has an id after `draw_ids`.
    """

    members: dict[int, int]
    organizations: LinkedOrganizations
    nested_set: NestedSet
    former_parents: dict[int, int]
    ids: array[int]

    def draw_ids(self, created: int) -> None:
        """Draw ids for the created organizations, ascending depth-first and higher than all existing ids."""
        drawn = _draw_ids(created)
        for position in self.nested_set.order:
            if self.ids[position] < 0:
                self.ids[position] = next(drawn)

    def moves_between_trees(self) -> list[tuple[int, int, int]]:
        """Return the moved organizations whose tree changes, each with its former and its new root, as references."""
        before, after = self.organizations.columns.tree_id, self.nested_set.columns.tree_id
        return [
            (self.organizations.references[position], self._former_root(position), self._root(position))
            for position in self.former_parents
            if before[position] != after[position]
        ]

    def _root(self, position: int) -> int:
        while self.organizations.parents[position] != ROOT:
            position = self.organizations.parents[position]
        return self.organizations.references[position]

    def _former_root(self, position: int) -> int:
        former = (self.ids[position], *self._former_ancestors(position)[::-1])
        return former[-1]

    def placements(self) -> list[Placement]:
        """Return the placements of the topmost created organizations and of all moved ones, parents before children."""
        return [*self._created_tops(), *self._moved()]

    def _created_tops(self) -> Iterator[Placement]:
        references, parents = self.organizations.references, self.organizations.parents
        for position in self.nested_set.order:
            parent = parents[position]
            if references[position] < 0 and parent != ROOT and references[parent] > 0:
                yield Placement(self.ids[position], self.ids[parent])

    def _moved(self) -> Iterator[Placement]:
        if not self.former_parents:
            return
        for position in self.nested_set.order:
            if position in self.former_parents:
                parent = self.organizations.parents[position]
                parent_id = None if parent == ROOT else self.ids[parent]
                yield Placement(self.ids[position], parent_id, self._former_ancestors(position))

    def _former_ancestors(self, position: int) -> tuple[int, ...]:
        """Return the ids of an organization's former ancestors, root first.

        A damaged tree may have had a circle of parents that the import removes. Then each of its members occurs once.
        """
        path = {position: self.ids[position]}
        position = self.former_parents[position]
        while position != ROOT and position not in path:
            path[position] = self.ids[position]
            position = self.former_parents.get(position, self.organizations.parents[position])
        return tuple(path.values())[:0:-1]


AFFECTED_TREES = """
SELECT tree_id, min(id) FROM orgs_organization WHERE id IN (
    SELECT reference FROM import_resolved WHERE moved
     UNION ALL
    SELECT parent_reference FROM import_resolved WHERE (moved OR reference < 0) AND parent_reference > 0)
 GROUP BY tree_id
"""
CREATE_NODES = """
CREATE TEMPORARY TABLE import_nodes ON COMMIT DROP AS  -- siblings keep their order; new ones follow
SELECT row_number() OVER (ORDER BY tree_id, lft, reference DESC) - 1 AS position, node.*
  FROM (SELECT organization.id AS reference, moved.reference IS NOT NULL AS moved,
               CASE WHEN moved.reference IS NULL THEN organization.parent_id ELSE moved.parent_reference
               END AS parent_reference,
               organization.parent_id AS former_parent_id, tree_id, lft, rght, level,
               descendant_count
          FROM orgs_organization organization
          LEFT JOIN import_resolved moved ON moved.reference = organization.id AND moved.moved
         WHERE organization.tree_id = ANY(%s)
         UNION ALL
        SELECT reference, FALSE, parent_reference, NULL, NULL, NULL, NULL, NULL, NULL
          FROM import_resolved WHERE reference < 0) node
"""
READ_NODES = """
SELECT node.reference, CASE WHEN node.parent_reference IS NULL THEN -1 ELSE COALESCE(parent.position, -2) END,
       COALESCE(node.tree_id, 0), COALESCE(node.lft, 0), COALESCE(node.rght, 0), COALESCE(node.level, 0),
       COALESCE(node.descendant_count, 0)
  FROM import_nodes node LEFT JOIN import_nodes parent ON parent.reference = node.parent_reference
 ORDER BY node.position
"""
FORMER_PARENTS = """
SELECT node.position, COALESCE(parent.position, -1)
  FROM import_nodes node LEFT JOIN import_nodes parent ON parent.reference = node.former_parent_id
 WHERE node.moved
"""


def compute_changed_trees(refusals: Refusals) -> ChangedTrees:
    """Compute the trees that the import changes, and refuse every line that would place an organization below itself.

    Raises ImportRefused if a tree that the import would change is damaged.
    """
    members = dict(rows_of(AFFECTED_TREES))
    execute(CREATE_NODES, [[*members]])
    execute("ANALYZE import_nodes")
    organizations = nested_set.read_organizations(READ_NODES)
    former_parents = dict(rows_of(FORMER_PARENTS))
    computed = nested_set.compute_nested_set(organizations, moved=former_parents.keys())
    if len(computed.order) < len(organizations):
        circles = list(nested_set.find_circles(organizations))
        if not circles:
            raise ImportRefused("The tree is damaged; run check_tree --repair before you import.")
        if not _refuse_circles(organizations, circles, refusals):
            raise ImportRefused(
                "The tree is damaged: parents form a circle. Find it with check_tree, and repair it before you import."
            )
    return ChangedTrees(members, organizations, computed, former_parents, array("q", organizations.references))


FINGERPRINT = """
SELECT count(*), bit_xor(hash_record_extended(ROW({columns}, tree_id, lft, rght, level, descendant_count), 0))
"""
OF_NODES = f"{FINGERPRINT.format(columns='reference, former_parent_id')} FROM import_nodes WHERE reference > 0"
OF_TREES = f"{FINGERPRINT.format(columns='id, parent_id')} FROM orgs_organization WHERE tree_id = ANY(%s)"


def seen_fingerprint() -> tuple[int, int | None]:
    """Return the number of organizations that `compute_changed_trees` has read, and a hash of their tree columns."""
    if rows_of("SELECT to_regclass('pg_temp.import_nodes')") == [(None,)]:
        return 0, None  # it was not called, because no tree changes or because the file was refused before
    [(organizations, fingerprint)] = rows_of(OF_NODES)
    return organizations, fingerprint


def are_trees_unchanged(seen: tuple[int, int | None]) -> bool:
    """Return whether the import would still change the same trees, and whether these are as they were seen."""
    if not seen[0]:
        return True  # nothing was seen: all trees that change are new ones
    return rows_of(OF_TREES, [[tree_id for tree_id, _ in rows_of(AFFECTED_TREES)]]) == [seen]


KEYS = """
WITH wanted AS MATERIALIZED (SELECT unnest(%s::bigint[]) AS reference)
SELECT reference, COALESCE(entry.key, organization.key), entry.line
  FROM wanted
  LEFT JOIN import_resolved USING (reference)
  LEFT JOIN import_entries entry USING (line)
  LEFT JOIN orgs_organization organization ON organization.id = wanted.reference
"""


def refuse_moves_between_trees(trees: ChangedTrees, refusals: Refusals) -> None:
    """Refuse every line that would move an organization to another tree."""
    moves = trees.moves_between_trees()
    known = {
        reference: (key, line) for reference, key, line in rows_of(KEYS, [[*{one for move in moves for one in move}]])
    }
    for reference, former_root, root in moves:
        key, line = known[reference]
        target = "become a root" if root == reference else f"move to the tree of {quoted(known[root][0])}"
        refusals.add(line, f"{quoted(key)} would leave the tree of {quoted(known[former_root][0])} and {target}.")
    if moves:
        refusals.advice = MOVES_REFUSED


MOVES_REFUSED = (
    "Organizations would move to another tree, which is often another customer. Check their keys; the option "
    "key_prefix keeps the keys of customers apart. If all these moves are right, set the option move_between_trees."
)


def _refuse_circles(organizations: LinkedOrganizations, circles: list[list[int]], refusals: Refusals) -> bool:
    """Refuse the lines that cause the circles; return False if no line does, because the circles are older."""
    refused_before = refusals.count
    references = [organizations.references[position] for circle in circles for position in circle]
    known = {reference: (key, line) for reference, key, line in rows_of(KEYS, [references])}
    for circle in circles:
        members = [known[organizations.references[position]] for position in circle]
        for index, (key, line) in enumerate(members):
            if line is not None:
                count = min(len(members), MAX_KEYS_OF_CIRCLE)
                round_trip = [quoted(members[(index + step) % len(members)][0]) for step in range(count)]
                round_trip += ["…"] if count < len(members) else []
                refusals.add(line, f"It would be below itself: {' below '.join([*round_trip, quoted(key)])}.")
    return refusals.count > refused_before


SKIP_USED_IDS = """
SELECT setval(sequence, highest.id)
  FROM CAST(pg_get_serial_sequence('orgs_organization', 'id') AS regclass) AS sequence,
       (SELECT max(id) AS id FROM orgs_organization) highest
 WHERE highest.id > COALESCE(pg_sequence_last_value(sequence), 0)
"""
DRAW_IDS = """
WITH drawn AS MATERIALIZED (
    SELECT number, nextval(sequence) AS id
      FROM CAST(pg_get_serial_sequence('orgs_organization', 'id') AS regclass) AS sequence,
           generate_series(1, %s) AS number)
SELECT min(id), max(id) FROM drawn GROUP BY id - number ORDER BY 1
"""


def _draw_ids(count: int) -> Iterator[int]:
    """Draw ids from the table's sequence. They are consecutive, unless others draw ids at the same time."""
    execute(SKIP_USED_IDS)  # after a load of rows with ids, the sequence can be behind
    return chain.from_iterable(range(first, last + 1) for first, last in rows_of(DRAW_IDS, [count]))


CREATE_CREATED = """
CREATE TEMPORARY TABLE import_created (
    line bigint, id bigint, parent_id bigint, tree_id int, lft bigint, rght bigint, level int, descendant_count int
) ON COMMIT DROP
"""
WRITE_CREATED = """
INSERT INTO orgs_organization (id, key, name, parent_id, tree_id, lft, rght, level, descendant_count)
SELECT created.id, entry.key, entry.name, created.parent_id, created.tree_id, created.lft, created.rght, created.level,
       created.descendant_count
  FROM import_created created JOIN import_entries entry USING (line)
 WHERE created.id BETWEEN %s AND %s
 ORDER BY created.id
"""


def write_created(trees: ChangedTrees, *, on_written: Callable[[int], None]) -> None:
    """Write the created organizations, parents first; call `on_written` with the number that is written."""
    execute(CREATE_CREATED)
    copy_in("COPY import_created FROM STDIN", _created_rows(trees))
    execute("CREATE INDEX ON import_created (id); ANALYZE import_created")
    [(first, last, created)] = rows_of("SELECT min(id), max(id), count(*) FROM import_created")
    if first is None:
        return
    # Check foreign keys after each statement. Otherwise the commit would check them all, slowly and without progress.
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for start in range(first, last + 1, WRITE_BATCH_SIZE):
        on_written(min(start - first, created))  # others can have drawn ids in between
        execute(WRITE_CREATED, [start, start + WRITE_BATCH_SIZE - 1])
    execute("SET CONSTRAINTS ALL DEFERRED")
    on_written(created)


def _created_rows(trees: ChangedTrees) -> Iterator[str]:
    references, ids, columns = trees.organizations.references, trees.ids, trees.nested_set.columns
    for position in trees.nested_set.order:
        if references[position] < 0:
            parent = trees.organizations.parents[position]
            parent_id = "\\N" if parent == ROOT else ids[parent]
            yield copy_row(-references[position], ids[position], parent_id, *columns.of(position))


WRITE_MOVED = """
UPDATE orgs_organization organization
   SET name = entry.name, updated_at = statement_timestamp(),
       parent_id = COALESCE(created.id, resolved.parent_reference)
  FROM import_resolved resolved
  JOIN import_entries entry USING (line)
  LEFT JOIN import_created created ON created.line = -resolved.parent_reference
 WHERE organization.id = resolved.reference AND resolved.moved
"""
WRITE_RENAMED = """
UPDATE orgs_organization organization SET name = entry.name, updated_at = statement_timestamp()
  FROM import_resolved resolved JOIN import_entries entry USING (line)
 WHERE organization.id = resolved.reference AND resolved.renamed
   AND NOT resolved.moved
"""

HOLD_RENAMED = """
SELECT count(*) FROM (
    SELECT FROM orgs_organization WHERE id IN (SELECT reference FROM import_resolved WHERE renamed)
     ORDER BY id FOR NO KEY UPDATE) held
"""


def hold_renamed() -> None:
    """Lock the rows that get another name, whose trees are not locked: nobody renames, moves or deletes them."""
    execute(HOLD_RENAMED)


def write_renamed() -> None:
    """Write the names that differ."""
    execute(WRITE_RENAMED)


def write_moved(trees: ChangedTrees) -> int:
    """Write the new parents and the changed tree columns; return the number of organizations with changed columns.

    Call `write_created` before, because a created organization can be the new parent.
    """
    execute(WRITE_MOVED)
    return nested_set.write_changed_columns(trees.organizations, trees.nested_set)
