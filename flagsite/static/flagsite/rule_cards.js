// Edits rules as cards above the JSON that the form sends: those of a definition and those of a segment.
import { clauseRows, newClause } from "./clause_row.js";
import { dragged } from "./drag_order.js";
import { button, foldedField, input, isObject, labelled, make, onOthers, read, write } from "./editor_parts.js";

const isEditable = (rule) => isObject(rule) && Array.isArray(rule.clauses ?? []) && isObject(rule.serve ?? {}) &&
    (rule.clauses ?? []).every((clause) => isObject(clause) && Array.isArray(clause.values ?? []));

// Put the cards above a field, and return the element beside which a trial can stand, the list of the cards, and what
// shows the cards again. `words` says what the order means, and what it means that there is no rule. `added` makes
// what a new rule has beside its clauses, and `served` the elements of what a rule serves.
export const ruleCards = ({ field, known, words, added = () => ({}), served = () => null }) => {
    let rules = [];
    const clauses = clauseRows(known);
    const list = make("div", { class: "fs-rules-edited" });
    const note = make("p", { class: "fs-note" });
    const said = make("p", { class: "fs-unseen", role: "status" });
    const add = button("Add a rule", null, () => {
        rules.push({ id: freeId(), clauses: [newClause()], ...added() });
        changed(rules.length - 2, rules.length - 1, `[data-at="${rules.length - 1}.0.attribute"]`);
    }, { class: "fs-button fs-small fs-add-rule" });
    const beside = make("div", { class: "fs-beside" }, make("div", {}, note, list, add, said));
    const json = foldedField(field, beside);

    const freeId = () => {
        const taken = new Set(rules.map((rule) => rule.id));
        let number = 1;
        while (taken.has(`rule-${number}`)) {
            number += 1;
        }
        return `rule-${number}`;
    };
    const store = () => write(field, `[${rules.map((rule) => JSON.stringify(rule)).join(",\n ")}]`);
    // Show the cards from the first to the last again, which is faster than all of them.
    const changed = (first, last, focused) => {
        if (list.contains(document.activeElement)) {
            document.activeElement.blur();  // a value that is typed, but not entered yet, counts
        }
        store();
        while (list.children.length > rules.length) {
            list.lastElementChild.remove();
        }
        for (let number = Math.max(0, first); number <= Math.min(last, rules.length - 1); number += 1) {
            const made = card(rules[number], number);
            if (list.children[number]) {
                list.children[number].replaceWith(made);
            } else {
                list.append(made);
            }
        }
        describe();
        const target = beside.querySelector(focused);
        (target?.disabled ? target.parentElement.querySelector("button:enabled") : target)?.focus();
    };
    const describe = () => {
        add.hidden = rules === null;
        json.open ||= rules === null;
        note.textContent = rules === null ? "This JSON has no rules that can be shown as cards. Correct it below." :
            rules.length ? words.some : words.none;
    };
    const load = () => {
        try {
            const found = read(field.value || "[]");
            rules = Array.isArray(found) && found.every(isEditable) ? found : null;
        } catch {
            rules = null;
        }
        show();
    };
    const show = () => {
        describe();
        list.replaceChildren(...(rules ?? []).map(card));
    };
    const move = (from, to, focused) => {
        rules.splice(to, 0, ...rules.splice(from, 1));
        said.textContent = `The rule ${rules[to].id ?? ""} is now number ${to + 1} of ${rules.length}.`;
        changed(Math.min(from, to), Math.max(from, to), `[data-at="${to}.${focused}"]`);
    };
    const card = (rule, number) => {
        rule.clauses ??= [];
        const name = `rule ${number + 1}`;
        const again = (focused) => changed(number, number, focused);
        const keep = (member) => (value) => {
            if (value) {
                rule[member] = value;
            } else {
                delete rule[member];
            }
            store();
        };
        const handle = make("span", { class: "fs-handle", title: "Drag to another place", "aria-hidden": "true" }, "⠿");
        const made = make("section", { class: "fs-panel fs-rule", "aria-label": `Rule ${number + 1}` },
            make("div", { class: "fs-rule-head" }, handle, make("strong", {}, String(number + 1)),
                labelled("Id", input({ value: rule.id, maxlength: 64 }, keep("id"))),
                labelled("Description", input({ value: rule.description, maxlength: 200, dir: "auto" }, keep("description"))),
                make("span", { class: "fs-row fs-rule-buttons" },
                    button("↑", `Move ${name} up`, () => move(number, number - 1, "up"),
                        { "data-at": `${number}.up`, disabled: number === 0 }),
                    button("↓", `Move ${name} down`, () => move(number, number + 1, "down"),
                        { "data-at": `${number}.down`, disabled: number === rules.length - 1 }),
                    button("Remove", `Remove ${name}`, () => {
                        rules.splice(number, 1);
                        said.textContent = `The ${name} is removed.`;
                        list.children[number].remove();
                        changed(number - 1, rules.length - 1,
                            rules.length ? `[data-at="${Math.min(number, rules.length - 1)}.up"]` : ".fs-add-rule");
                    }))),
            ...rule.clauses.map((clause, place) => clauses.row(rule, number, place, { store, changed: again })),
            button("Add a clause", `Add a clause to ${name}`, () => {
                rule.clauses.push(newClause());
                again(`[data-at="${number}.${rule.clauses.length - 1}.attribute"]`);
            }, { class: "fs-button fs-small fs-add", "data-at": `${number}.add` }),
            served(rule, number, { store, changed: again, attributeInput: clauses.attributeInput }));
        dragged(handle, made, (from, to) => move(from, to, "down"));
        return made;
    };
    onOthers(field, load);
    load();
    return { attributeInput: clauses.attributeInput, beside, list, show };
};
