// Edits the default rollout of a definition with the weights and the bar of rules, above the JSON that the form sends.
import { check, foldedField, isObject, make, onOthers, read, write } from "./editor_parts.js";
import { evenShares, shares } from "./rule_serve.js";

// Returns the function that shows it again, after another script has changed the variants.
export const editDefaultRollout = ({ field, variantKeys, isBoolean, attributeInput }) => {
    const share = shares(isBoolean);
    const place = make("div", { class: "fs-serve fs-default-rollout", role: "group", "aria-label": "Default rollout" });
    const json = foldedField(field, place);
    let rollout = null;  // undefined: it cannot be shown

    const store = () => write(field, rollout === null ? "" : JSON.stringify(rollout));
    const changed = (focused) => {
        store();
        show();
        place.querySelector(focused)?.focus();
    };
    const note = (text) => [make("p", { class: "fs-note" }, text)];
    const parts = () => {
        if (rollout === undefined) {
            return note("This JSON has no rollout that can be shown. Correct it below.");
        }
        if (rollout === null && isBoolean()) {
            return note("A boolean flag is rolled out by its percentage.");
        }
        const choice = check("roll out by weight", rollout !== null, (checked) => {
            rollout = checked ? evenShares(variantKeys()) : null;
            changed("input");
        });
        const tools = { store, changed, attributeInput };
        return [choice, ...(rollout === null ? [] : share(rollout, variantKeys(), "default", tools))];
    };
    const show = () => {
        json.open ||= rollout === undefined;
        place.replaceChildren(...parts().filter((part) => part !== null));
    };
    const load = () => {
        try {
            const found = read(field.value || "null");
            rollout = found === null || (isObject(found) && isObject(found.rollout)) ? found : undefined;
        } catch {
            rollout = undefined;
        }
        show();
    };
    onOthers(field, load);
    load();
    return show;
};
