// Edits the variants of a definition as rows, above the JSON that the form sends.
"use strict";
(() => {
    const data = document.getElementById("definition-editor");
    const field = document.getElementById("id_variants");
    const marked = { default: document.getElementById("id_default_variant"), off: document.getElementById("id_off_variant") };
    if (!data || !field || !marked.default || !marked.off || !JSON.rawJSON) {
        return;
    }
    const known = JSON.parse(data.dataset.known);
    const flagType = () => document.getElementById("id_type")?.value || known.type || "boolean";
    const template = document.getElementById("variant-row");
    const json = document.createElement("details");
    json.className = "fs-others fs-json-field";
    json.innerHTML = "<summary>JSON</summary>";
    const editor = document.getElementById("variant-rows");
    const list = editor.querySelector("[data-rows]");
    const note = editor.querySelector("[data-note]");
    field.before(editor, json);
    json.append(field);
    editor.hidden = false;

    // A value keeps the text with which it is written, and so do its numbers.
    const read = (text) => JSON.parse(text, (name, value, context) =>
        typeof value === "number" && context ? JSON.rawJSON(context.source) : value);
    let rows = [];
    const isJson = (text) => {
        try {
            JSON.parse(text);
            return true;
        } catch {
            return false;
        }
    };
    // What is no JSON is sent as a text, which is refused. So the rows come back with the message.
    const textOf = (row) => flagType() !== "string" && isJson(row.text) ? row.text : JSON.stringify(row.text);
    const store = () => {
        field.value = `[${rows.map((row) => `{"key": ${JSON.stringify(row.key)}, "value": ${textOf(row)}}`).join(",\n ")}]`;
        field.dispatchEvent(new CustomEvent("input", { bubbles: true, detail: "rows" }));
    };
    const load = () => {
        try {
            rows = read(field.value || "[]").map(({ key, value, ...others }) => {
                if (typeof key !== "string" || value === undefined || Object.keys(others).length ||
                    (flagType() === "string" && typeof value !== "string")) {
                    throw new TypeError();
                }
                return { key, text: flagType() === "string" ? value : JSON.stringify(value) };
            });
        } catch {
            rows = null;
        }
        show();
    };
    const mark = (name, key) => {
        marked[name].value = key;
        marked[name].dispatchEvent(new Event("input", { bubbles: true }));
    };
    const line = (row, number) => {
        const made = template.content.cloneNode(true).firstElementChild;
        made.setAttribute("aria-label", `Variant ${number + 1}`);
        const [key, value] = made.querySelectorAll("[data-key], [data-value]");
        for (const each of made.querySelectorAll("label[data-for]")) {
            const control = made.querySelector(`[data-${each.dataset.for}]`);
            control.id = each.htmlFor = `variant-${number}-${each.dataset.for}`;
        }
        key.value = row.key;
        key.readOnly = known.variants.includes(row.key);  // a key never changes
        key.addEventListener("input", () => {
            for (const name of Object.keys(marked)) {
                if (row.key && marked[name].value === row.key) {
                    mark(name, key.value);
                }
            }
            row.key = key.value;
            store();
        });
        value.value = row.text;
        value.addEventListener("input", () => {
            row.text = value.value;
            store();
        });
        for (const name of Object.keys(marked)) {
            const radio = made.querySelector(`[data-${name}]`);
            radio.checked = Boolean(row.key) && marked[name].value === row.key;
            radio.addEventListener("change", () => mark(name, row.key));
        }
        const remove = made.querySelector("[data-remove]");
        remove.setAttribute("aria-label", `Remove the variant ${row.key}`);
        remove.addEventListener("click", () => {
            rows.splice(number, 1);
            store();
            show();
            editor.querySelector("[data-add]").focus();
        });
        return made;
    };
    const show = () => {
        const isBoolean = flagType() === "boolean";
        const canShow = rows !== null && !isBoolean;
        note.textContent = isBoolean ? "A boolean flag has the variants on and off." :
            canShow ? "" : "This JSON has no variants that can be shown as rows. Correct it below.";
        list.replaceChildren(...(canShow ? rows.map(line) : []));
        json.open ||= rows === null;
        for (const part of editor.querySelectorAll("[data-add], [data-none]")) {
            part.hidden = !canShow;
        }
        editor.querySelector("[data-no-off]").checked = !marked.off.value;
        for (const name of Object.keys(marked)) {  // the radio buttons stand for these inputs, unless one has an error
            const line = marked[name].closest(".grow")?.parentElement;
            if (line) {
                line.hidden = (canShow || isBoolean) && !line.querySelector(".errorlist");
                line.classList.toggle("fs-taken-over", line.hidden);
            }
        }
    };
    editor.querySelector("[data-no-off]").addEventListener("change", () => mark("off", ""));
    editor.querySelector("[data-add]").addEventListener("click", () => {
        rows.push({ key: "", text: "" });
        store();
        show();
        list.lastElementChild.querySelector("[data-key]").focus();
    });
    field.addEventListener("input", (event) => event.detail === "rows" || load());
    document.getElementById("id_type")?.addEventListener("change", load);
    load();
})();
