// Edits the targeting rules of a definition as cards and its variants as rows. Both write the JSON that the form sends.
"use strict";
(() => {
    const data = document.getElementById("definition-editor");
    const rulesField = document.getElementById("id_targeting_rules");
    const variantsField = document.getElementById("id_variants");
    if (!data || !rulesField || !JSON.rawJSON) {
        return;  // a browser that cannot keep 1.0 as it is written edits the JSON
    }
    const known = JSON.parse(data.dataset.known);
    const operators = new Map(known.operators.map((operator) => [operator.name, operator]));
    const MOST_CHIPS = 50;
    const SHARE = "\u0000share";
    const UNITS = { targetingKey: "users", organization: "organizations", ancestor: "ancestors on level" };

    const make = (tag, attributes = {}, ...children) => {
        const made = document.createElement(tag);
        for (const [name, value] of Object.entries(attributes)) {
            if (typeof value === "function") {
                made.addEventListener(name, value);
            } else if (value !== false && value !== null && value !== undefined) {
                made.setAttribute(name, value === true ? "" : value);
            }
        }
        made.append(...children.filter((child) => child !== null));
        return made;
    };
    let ids = 0;
    const labelled = (text, control) => {
        control.id = `editor-${ids += 1}`;
        return make("div", { class: "fs-labelled" }, make("label", { for: control.id }, text), control);
    };
    const input = (attributes, changed) => make("input", {
        type: "text", class: "fs-input", autocomplete: "off", spellcheck: "false", ...attributes,
        input: (event) => changed(event.target.value),
    });
    const select = (options, chosen, changed, attributes = {}) => make("select", {
        class: "fs-input", ...attributes, change: (event) => changed(event.target.value),
    }, ...options.map(([value, words]) => make("option", { value, selected: value === chosen }, words)));
    const check = (text, checked, changed) => make("label", { class: "fs-check" },
        make("input", { type: "checkbox", checked, change: (event) => changed(event.target.checked) }), text);
    const button = (text, name, click, attributes = {}) =>
        make("button", { type: "button", class: "fs-button fs-small", "aria-label": name, click, ...attributes }, text);
    const suggestions = (id, words) =>
        make("datalist", { id }, ...words.map((word) => make("option", { value: word })));

    // Numbers that JavaScript would write in another way stay as they are written.
    const read = (text) => JSON.parse(text, (name, value, context) =>
        typeof value === "number" && context && String(value) !== context.source ? JSON.rawJSON(context.source) : value);
    const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
    const numberOf = (value) => Number(JSON.stringify(value ?? 0));
    const isEditable = (rule) => isObject(rule) && Array.isArray(rule.clauses ?? []) && isObject(rule.serve ?? {}) &&
        (rule.clauses ?? []).every((clause) => isObject(clause) && Array.isArray(clause.values ?? []));

    const write = (field, text) => {
        field.value = text;
        field.dispatchEvent(new CustomEvent("input", { bubbles: true, detail: "editor" }));
    };
    const onOthers = (field, act) => field?.addEventListener("input", (event) => event.detail === "editor" || act());
    const flagType = () => document.getElementById("id_type")?.value || known.type || "boolean";
    const variantsIn = () => {
        try {
            const found = read(variantsField?.value || "[]");
            return Array.isArray(found) && found.every(isObject) ? found : null;
        } catch {
            return null;
        }
    };
    const variantKeys = () => flagType() === "boolean" ? known.booleans : (variantsIn() ?? []).map((each) => String(each.key));

    // A button does not move away while the mouse is pressed on it.
    let isPressed = false;
    document.addEventListener("pointerdown", () => { isPressed = true; }, true);
    for (const end of ["pointerup", "pointercancel"]) {
        document.addEventListener(end, () => { isPressed = false; }, true);
    }
    const afterClick = (act) => isPressed ? document.addEventListener("pointerup", () => setTimeout(act), { once: true }) : act();

    // Put the field into a part that is folded while the cards or rows can show what it has.
    const foldedField = (field, editor) => {
        const json = make("details", { class: "fs-others fs-json-field" }, make("summary", {}, "JSON"));
        field.before(editor, json);
        json.append(field);
        return json;
    };

    // --- targeting rules ---
    let rules = [];
    const list = make("div", { class: "fs-rules-edited" });
    const note = make("p", { class: "fs-note" });
    const said = make("p", { class: "fs-unseen", role: "status" });
    const add = button("Add a rule", null, () => {
        rules.push({ id: freeId(), clauses: [newClause()], serve: { variant: variantKeys()[0] ?? "" } });
        changed(`[data-at="${rules.length - 1}.0.attribute"]`);
    });
    const column = make("div", {}, note, list, add, said,
        suggestions("editor-attributes", known.attributes), suggestions("editor-segments", known.segments ?? []));
    const beside = make("div", { class: "fs-beside" }, column);
    const rulesJson = foldedField(rulesField, beside);

    const newClause = () => ({ attribute: "", op: "in", values: [] });
    const freeId = () => {
        const taken = new Set(rules.map((rule) => rule.id));
        let number = 1;
        while (taken.has(`rule-${number}`)) {
            number += 1;
        }
        return `rule-${number}`;
    };
    const store = () => write(rulesField, `[${rules.map((rule) => JSON.stringify(rule)).join(",\n ")}]`);
    const changed = (focused) => {
        store();
        showRules();
        const target = document.querySelector(focused);
        (target?.disabled ? target.parentElement.querySelector("button:enabled") : target)?.focus();
    };
    const loadRules = () => {
        try {
            const found = read(rulesField.value || "[]");
            rules = Array.isArray(found) && found.every(isEditable) ? found : null;
        } catch {
            rules = null;
        }
        showRules();
    };
    const showRules = () => {
        add.hidden = rules === null;
        rulesJson.open ||= rules === null;
        note.textContent = rules === null ? "This JSON has no rules that can be shown as cards. Correct it below." :
            rules.length ? "The first rule that matches decides." : "No rule yet: the values of organizations count.";
        list.replaceChildren(...(rules ?? []).map(card));
    };
    const move = (from, to, focused) => {
        rules.splice(to, 0, ...rules.splice(from, 1));
        said.textContent = `The rule ${rules[to].id ?? ""} is now number ${to + 1} of ${rules.length}.`;
        changed(`[data-at="${to}.${focused}"]`);
    };
    let dragged = null;
    const handle = (number) => make("span", {
        class: "fs-handle", draggable: "true", title: "Drag to another place", "aria-hidden": "true",
        dragstart: (event) => {
            dragged = number;
            event.dataTransfer.effectAllowed = "move";
            event.dataTransfer.setData("text/plain", "");
            event.dataTransfer.setDragImage(event.target.closest(".fs-rule"), 0, 0);
        },
        dragend: () => {
            dragged = null;
        },
    }, "⠿");
    const card = (rule, number) => {
        rule.clauses ??= [];
        const name = `rule ${number + 1}`;
        const keep = (member) => (value) => {
            if (value) {
                rule[member] = value;
            } else {
                delete rule[member];
            }
            store();
        };
        return make("section", {
            class: "fs-panel fs-rule", "aria-label": `Rule ${number + 1}`,
            dragover: (event) => dragged !== null && event.preventDefault(),
            drop: (event) => {
                event.preventDefault();
                if (dragged !== null && dragged !== number) {
                    move(dragged, number, "down");
                }
            },
        },
        make("div", { class: "fs-rule-head" }, handle(number), make("strong", {}, String(number + 1)),
            labelled("Id", input({ value: rule.id, maxlength: 64 }, keep("id"))),
            labelled("Description", input({ value: rule.description, maxlength: 200 }, keep("description"))),
            make("span", { class: "fs-row fs-rule-buttons" },
                button("↑", `Move ${name} up`, () => move(number, number - 1, "up"),
                    { "data-at": `${number}.up`, disabled: number === 0 }),
                button("↓", `Move ${name} down`, () => move(number, number + 1, "down"),
                    { "data-at": `${number}.down`, disabled: number === rules.length - 1 }),
                button("Remove", `Remove ${name}`, () => {
                    rules.splice(number, 1);
                    said.textContent = `The ${name} is removed.`;
                    changed(rules.length ? `[data-at="${Math.min(number, rules.length - 1)}.up"]` : ".fs-add-rule");
                }))),
        ...rule.clauses.map((clause, place) => clauseRow(rule, number, clause, place)),
        button("Add a clause", `Add a clause to ${name}`, () => {
            rule.clauses.push(newClause());
            changed(`[data-at="${number}.${rule.clauses.length - 1}.attribute"]`);
        }, { class: "fs-button fs-small fs-add" }),
        served(rule, number));
    };
    add.classList.add("fs-add-rule");

    const clauseRow = (rule, number, clause, place) => {
        const operator = operators.get(clause.op) ?? { name: clause.op, words: clause.op, asksAttribute: true, takes: "anything" };
        const at = `${number}.${place}`;
        const mark = (member) => (checked) => {
            if (checked) {
                clause[member] = true;
            } else {
                delete clause[member];
            }
            store();
        };
        const choices = (asks) => [...operators.values()].filter((each) => each.asksAttribute === asks)
            .map((each) => make("option", { value: each.name, selected: each.name === clause.op }, each.words));
        const asks = make("select", { class: "fs-input", "data-at": `${at}.op`, change: (event) => {
            setOperator(clause, operators.get(event.target.value));
            changed(`[data-at="${at}.op"]`);
        } }, ...(operators.has(clause.op) ? [] : [make("option", { value: clause.op, selected: true }, String(clause.op))]),
        make("optgroup", { label: "The attribute" }, ...choices(true)),
        make("optgroup", { label: "Something else" }, ...choices(false)));
        return make("div", { class: "fs-clause", role: "group", "aria-label": `Clause ${place + 1} of rule ${number + 1}` },
            make("span", { class: "fs-note fs-join" }, place ? "and" : "if"),
            operator.asksAttribute ? labelled("Attribute", input({
                value: clause.attribute, maxlength: 255, list: "editor-attributes", "data-at": `${at}.attribute`,
            }, (value) => {
                clause.attribute = value;
                store();
            })) : null,
            labelled("Operator", asks),
            operator.takes === "nothing" ? null : chips(clause, operator, `${at}.values`),
            make("span", { class: "fs-row fs-marks" },
                check("not", clause.negate === true, mark("negate")),
                operator.takesCase ? check("in any case", clause.ignoreCase === true, mark("ignoreCase")) : null,
                button("Remove", `Remove clause ${place + 1} of rule ${number + 1}`, () => {
                    rule.clauses.splice(place, 1);
                    changed(`[data-at="${number}.${Math.max(0, place - 1)}.op"]`);
                })));
    };
    const setOperator = (clause, operator) => {
        clause.op = operator.name;
        const texts = (clause.values ?? []).map((value) => typeof value === "string" ? value : JSON.stringify(value));
        clause.values = texts.map((text) => typed(text, clause, operator));
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

    // --- the values of a clause ---
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
    const chips = (clause, operator, at) => {
        clause.values ??= [];
        const box = make("ul", { class: "fs-chips" });
        const rest = make("span", { class: "fs-note" });
        const show = () => {
            box.replaceChildren(...clause.values.slice(0, MOST_CHIPS).map((value, place) => {
                const words = shown(value, clause, operator);
                return make("li", { class: "fs-mark" }, words, make("button", {
                    type: "button", "aria-label": `Remove the value ${words}`, click: () => {
                        clause.values.splice(place, 1);
                        store();
                        show();
                        entry.focus();
                    },
                }, "×"));
            }));
            box.hidden = !clause.values.length;
            const more = clause.values.length - MOST_CHIPS;
            rest.textContent = more > 0 ? `and ${more} more, in the JSON` : "";
        };
        const commit = () => {
            const found = parts(entry.value, clause, operator);
            entry.value = "";
            if (found.length) {
                clause.values.push(...found);
                store();
                afterClick(show);
            }
        };
        const entry = make("input", {
            type: "text", class: "fs-input", autocomplete: "off", spellcheck: "false", "data-at": at,
            list: operator.name === "inSegment" ? "editor-segments" : null, placeholder: "a, b, …",
            change: commit,
            keydown: (event) => {
                if (event.key === "Enter") {
                    event.preventDefault();
                    commit();
                } else if (event.key === "Backspace" && !entry.value && clause.values.length) {
                    clause.values.pop();
                    store();
                    show();
                }
            },
        });
        show();
        return make("div", { class: "fs-values" }, labelled("Values", entry), box, rest);
    };

    // --- what a rule serves ---
    const served = (rule, number) => {
        rule.serve ??= {};
        const keys = variantKeys();
        const { serve } = rule;
        const at = `[data-at="${number}.serve"]`;
        const chosen = isObject(serve.rollout) ? SHARE : String(serve.variant ?? "");
        const unknown = chosen === SHARE || keys.includes(chosen) ? [] : [[chosen, chosen ? `${chosen} (no variant)` : "–"]];
        const choice = select([...unknown, ...keys.map((key) => [key, key]), [SHARE, "a share"]], chosen, (value) => {
            const even = Math.floor(100 / (keys.length || 1));
            const weights = keys.map((key, place) => [key, place ? even : 100 - even * (keys.length - 1)]);
            rule.serve = value === SHARE ? { rollout: Object.fromEntries(weights), by: "targetingKey" } : { variant: value };
            changed(at);
        }, { "data-at": `${number}.serve` });
        return make("div", { class: "fs-serve", role: "group", "aria-label": `What rule ${number + 1} serves` },
            make("span", { class: "fs-note fs-join" }, "then"), labelled("Serve", choice),
            ...(chosen === SHARE ? share(serve, keys, number) : []));
    };
    const share = (serve, keys, number) => {
        const weights = serve.rollout;
        const isBoolean = flagType() === "boolean";
        const names = [...new Set([...keys, ...Object.keys(weights)])];
        const bar = make("span", { class: "fs-weights", "aria-hidden": "true" });
        const sum = make("span", { class: "fs-bad", role: "status" });
        const showBar = () => {
            bar.replaceChildren(...names.map((key, place) => {
                const part = make("span", { class: `fs-part-${place % 6}`, title: `${key}: ${numberOf(weights[key])} %` });
                part.style.flexGrow = String(Math.max(0, numberOf(weights[key]) || 0));
                return part;
            }));
            const total = Math.round(names.reduce((all, key) => all + numberOf(weights[key]), 0) * 1000) / 1000;
            sum.textContent = total === 100 ? "" : `The weights add up to ${total} %. Make them 100 %.`;
        };
        const weigh = (key) => (value) => {
            weights[key] = Number(value);
            delete serve.ranges;  // those of the stored rule move as few users as possible
            if (isBoolean) {
                weights[key === "on" ? "off" : "on"] = Math.round((100 - Number(value)) * 1000) / 1000;
            }
            store();
            showBar();
        };
        const weight = (key) => labelled(`${key} %`, input(
            { type: "number", min: 0, max: 100, step: 0.001, value: numberOf(weights[key]) }, weigh(key)));
        const by = serve.by ?? "targetingKey";
        const isAttribute = !Object.hasOwn(UNITS, by);
        const unit = select([...Object.entries(UNITS), ["", "values of"]], isAttribute ? "" : by, (value) => {
            serve.by = value;
            delete serve.level;
            if (value === "ancestor") {
                serve.level = 1;
            }
            changed(`[data-at="${number}.unit"]`);
        }, { "data-at": `${number}.unit` });
        showBar();
        return [
            ...(isBoolean ? ["on"] : names).map(weight), labelled("of", unit),
            isAttribute ? labelled("Attribute", input({ value: by, list: "editor-attributes", maxlength: 255 }, (value) => {
                serve.by = value;
                store();
            })) : null,
            by === "ancestor" ? labelled("Level", input(
                { type: "number", min: 0, max: 1000, value: numberOf(serve.level) }, (value) => {
                    serve.level = Number(value);
                    store();
                })) : null,
            bar, sum,
        ];
    };

    // --- the trial ---
    const trial = document.getElementById("try-out");
    if (trial) {
        trial.hidden = false;
        beside.append(trial);
        document.addEventListener("DOMContentLoaded", () => window.htmx?.trigger("#try-out-form", "editor-shown"));
        document.addEventListener("htmx:afterSwap", (event) => {
            if (event.target.id === "try-out-result") {
                const number = Number(event.target.querySelector("[data-number]")?.dataset.number ?? 0);
                Array.from(list.children, (each, place) => each.classList.toggle("fs-decides", place + 1 === number));
            }
        });
    }

    onOthers(rulesField, loadRules);
    onOthers(variantsField, showRules);
    document.getElementById("id_type")?.addEventListener("change", showRules);
    loadRules();
})();
