// A clause of a rule as a row: what it asks for, the operator, the values, and the marks "not" and "in any case".
import { among, completed, organizations } from "./completion.js";
import { button, check, input, labelled, make, read } from "./editor_parts.js";
import { chips } from "./value_chips.js";

const UNKNOWN = { asksAttribute: true, takes: "anything" };

// Return the function that makes rows, from what the page knows: operators, attributes, segments, paths of organizations.
export const clauseRows = (known) => {
    const operators = new Map(known.operators.map((operator) => [operator.name, operator]));
    const paths = new Map(Object.entries(known.paths));
    const findAttribute = among(known.attributes.map(([value, words]) => ({ value, words })));
    const findValue = {
        inSegment: among(known.segments.map(([value, words]) => ({ value, words }))),
        inSubtree: organizations(known.organizations, paths),
    };
    const choices = (asks) => known.operators.filter((each) => each.asksAttribute === asks)
        .map((each) => make("option", { value: each.name }, each.words));
    const template = make("select", { class: "fs-input" },  // a copy is made faster than its options
        make("optgroup", { label: "The attribute" }, ...choices(true)),
        make("optgroup", { label: "Something else" }, ...choices(false)));

    const attributeInput = (attributes, value, changed) => {
        const entry = input({ value, maxlength: 255, ...attributes }, changed);
        return completed(entry, findAttribute, (chosen) => {
            entry.value = chosen;
            changed(chosen);
        });
    };

    const operatorSelect = (clause, at, changed) => {
        const made = template.cloneNode(true);
        made.dataset.at = `${at}.op`;
        if (!operators.has(clause.op)) {
            made.prepend(make("option", { value: clause.op }, String(clause.op)));
        }
        made.value = clause.op;
        made.addEventListener("change", () => {
            setOperator(clause, operators.get(made.value));
            changed(`[data-at="${at}.op"]`);
        });
        return made;
    };

    const values = (clause, operator, at, store) => {
        clause.values ??= [];
        const find = findValue[operator.name];
        return chips({
            label: "Values", values: clause.values, changed: store, rest: "in the JSON", attributes: { "data-at": at },
            parts: (text) => parts(text, clause, operator), shown: (value) => shown(value, clause, operator),
            beside: (value) => operator.name === "inSubtree" ? paths.get(value) ?? "" : "",
            completing: find ? (entry, choose) => completed(entry, find, choose) : null,
        });
    };

    // `store` writes the JSON; `changed` also shows the rule again and puts the focus on what a selector finds.
    const row = (rule, number, place, { store, changed }) => {
        const clause = rule.clauses[place];
        const operator = operators.get(clause.op) ?? UNKNOWN;
        const at = `${number}.${place}`;
        const mark = (member) => (checked) => {
            if (checked) {
                clause[member] = true;
            } else {
                delete clause[member];
            }
            store();
        };
        return make("div", { class: "fs-clause", role: "group", "aria-label": `Clause ${place + 1} of rule ${number + 1}` },
            make("span", { class: "fs-note fs-join" }, place ? "and" : "if"),
            operator.asksAttribute ? labelled("Attribute", attributeInput(
                { "data-at": `${at}.attribute` }, clause.attribute, (value) => {
                    clause.attribute = value;
                    store();
                })) : null,
            labelled("Operator", operatorSelect(clause, at, changed)),
            operator.takes === "nothing" ? null : values(clause, operator, `${at}.values`, store),
            make("span", { class: "fs-row fs-marks" },
                check("not", clause.negate === true, mark("negate")),
                operator.takesCase ? check("in any case", clause.ignoreCase === true, mark("ignoreCase")) : null,
                button("Remove", `Remove clause ${place + 1} of rule ${number + 1}`, () => {
                    rule.clauses.splice(place, 1);
                    changed(`[data-at="${number}.${Math.max(0, place - 1)}.op"], [data-at="${number}.add"]`);
                }),
                make("span", { class: "fs-outcome" })));
    };
    return { row, attributeInput };
};

export const newClause = () => ({ attribute: "", op: "in", values: [] });

const setOperator = (clause, operator) => {
    clause.op = operator.name;
    clause.values?.forEach((value, place) => {  // in place, because the chips have this list
        clause.values[place] = typed(typeof value === "string" ? value : JSON.stringify(value), clause, operator);
    });
    if (operator.takes === "nothing") {
        delete clause.values;
    }
    if (!operator.asksAttribute) {
        delete clause.attribute;
    }
    if (!operator.takesCase) {
        delete clause.ignoreCase;
    }
};

const typed = (text, clause, operator) => {
    if (operator.takes === "texts" || (operator.takes === "anything" && clause.attribute === "targetingKey")) {
        return text;
    }
    try {
        const value = read(text);
        const isNumber = /^-?\d/.test(text.trim());
        return isNumber || (operator.takes === "anything" && typeof value === "boolean") ? value : text;
    } catch {
        return text;
    }
};

const parts = (text, clause, operator) => {
    const isValue = (value) => value !== null && (typeof value !== "object" || JSON.isRawJSON(value));
    try {
        const listed = read(`[${text}]`);
        if (text.includes("\"") && listed.every(isValue)) {
            return listed;
        }
    } catch { /* it is not JSON */ }
    const split = operator.name === "matches" ? [text] : text.split(/[,\n]/).map((part) => part.trim());
    return split.filter(Boolean).map((part) => /^".*"$/.test(part) ? unquoted(part) : typed(part, clause, operator));
};

const unquoted = (text) => {
    try {
        return String(JSON.parse(text));
    } catch {
        return text;
    }
};

const shown = (value, clause, operator) => {
    if (typeof value !== "string") {
        return JSON.stringify(value);
    }
    const again = parts(value, clause, operator);
    return again.length === 1 && again[0] === value ? value : JSON.stringify(value);
};
