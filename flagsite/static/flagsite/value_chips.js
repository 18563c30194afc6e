// A list of values as chips, with an input that adds to it.
import { afterClick, labelled, make } from "./editor_parts.js";

const MOST_CHIPS = 50;

// Return the label, the input and the chips of a list, which changes in place.
// `parts` reads values from a text, `shown` writes a value as a text, and `beside` says more about it.
// `completing` lets the input offer something, and `changed` is called after each change.
export const chips = ({ label, values, parts, shown, changed, beside = () => "", completing = null, attributes = {}, rest }) => {
    const box = make("ul", { class: "fs-chips" });
    const more = make("span", { class: "fs-note" });
    const show = () => {
        box.replaceChildren(...values.slice(0, MOST_CHIPS).map((value, place) => {
            const words = shown(value);
            const note = beside(value);
            return make("li", { class: "fs-mark" }, make("bdi", {}, words), note ? make("span", { class: "fs-note" }, ` ${note} `) : null,
                make("button", {
                    type: "button", "aria-label": `Remove the value ${words}`, click: () => {
                        values.splice(place, 1);
                        changed();
                        show();
                        entry.focus();
                    },
                }, "×"));
        }));
        box.hidden = !values.length;
        more.textContent = values.length > MOST_CHIPS ? `and ${values.length - MOST_CHIPS} more, ${rest}` : "";
    };
    const add = (found) => {
        entry.value = "";
        if (found.length) {
            values.push(...found);
            changed();
            afterClick(show);
        }
    };
    const entry = make("input", {
        type: "text", class: "fs-input", autocomplete: "off", spellcheck: "false", placeholder: "a, b, …", ...attributes,
    });
    if (completing) {
        completing(entry, (value) => {
            add([value]);
            show();
        });
    }
    entry.addEventListener("change", () => add(parts(entry.value)));
    entry.addEventListener("paste", (event) => {
        const text = event.clipboardData?.getData("text") ?? "";
        if (/[\r\n]/.test(text.trim())) {  // an input would put the lines together
            event.preventDefault();
            add(text.split(/[\r\n]+/).flatMap((line) => parts(line)));
            show();
        }
    });
    entry.addEventListener("keydown", (event) => {
        if (event.defaultPrevented) {
            return;
        }
        if (event.key === "Enter") {
            event.preventDefault();
            add(parts(entry.value));
        } else if (event.key === "Backspace" && !entry.value && values.length) {
            values.pop();
            changed();
            show();
        }
    });
    show();
    return make("div", { class: "fs-values" }, labelled(label, entry), box, more);
};
