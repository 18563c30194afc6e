// The parts of which the editors of definitions and segments are made: elements, and the JSON of a field of the form.

let ids = 0;

export const make = (tag, attributes = {}, ...children) => {
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

export const labelled = (text, control) => {
    control.id = `editor-${ids += 1}`;
    return make("div", { class: "fs-labelled" }, make("label", { for: control.id }, text), control);
};

export const input = (attributes, changed) => make("input", {
    type: "text", class: "fs-input", autocomplete: "off", spellcheck: "false", ...attributes,
    input: (event) => changed(event.target.value),
});

export const select = (options, chosen, changed, attributes = {}) => make("select", {
    class: "fs-input", ...attributes, change: (event) => changed(event.target.value),
}, ...options.map(([value, words]) => make("option", { value, selected: value === chosen }, words)));

export const check = (text, checked, changed) => make("label", { class: "fs-check" },
    make("input", { type: "checkbox", checked, change: (event) => changed(event.target.checked) }), text);

export const button = (text, name, click, attributes = {}) =>
    make("button", { type: "button", class: "fs-button fs-small", "aria-label": name, click, ...attributes }, text);

// A browser that cannot keep 1.0 as it is written edits the JSON.
export const canKeepNumbers = Boolean(JSON.rawJSON);

// Numbers that JavaScript would write in another way stay as they are written.
export const read = (text) => JSON.parse(text, (name, value, context) =>
    typeof value === "number" && context && String(value) !== context.source ? JSON.rawJSON(context.source) : value);

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

export const numberOf = (value) => Number(JSON.stringify(value ?? 0));

export const write = (field, text) => {
    field.value = text;
    field.dispatchEvent(new CustomEvent("input", { bubbles: true, detail: "editor" }));
};

// Act when the person, or another script, changes the field.
export const onOthers = (field, act) => field?.addEventListener("input", (event) => event.detail === "editor" || act());

// A button does not move away while it is pressed.
let isPressed = false;
document.addEventListener("pointerdown", () => { isPressed = true; }, true);
for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => { isPressed = false; }, true);
}
export const afterClick = (act) =>
    isPressed ? document.addEventListener("pointerup", () => setTimeout(act), { once: true }) : act();

// Put the field into a part that is folded while the editor can show what it has.
export const foldedField = (field, editor, title = "JSON") => {
    const folded = make("details", { class: "fs-others fs-json-field" }, make("summary", {}, title));
    field.before(editor, folded);
    folded.append(field);
    return folded;
};
