// Edits the targeting rules of a definition as cards, beside a trial of what is not saved yet, and its default rollout.
import { editDefaultRollout } from "./default_rollout.js";
import { canKeepNumbers, isObject, onOthers, read } from "./editor_parts.js";
import { ruleCards } from "./rule_cards.js";
import { servedBy } from "./rule_serve.js";
import { showTrial } from "./trial.js";

const data = document.getElementById("definition-editor");
const field = document.getElementById("id_targeting_rules");
const variantsField = document.getElementById("id_variants");
const typeField = document.getElementById("id_type");
if (data && field && canKeepNumbers) {
    const known = JSON.parse(data.dataset.known);
    const isBoolean = () => (typeField?.value || known.type || "boolean") === "boolean";
    const variantsIn = () => {
        try {
            const found = read(variantsField?.value || "[]");
            return Array.isArray(found) && found.every(isObject) ? found : [];
        } catch {
            return [];
        }
    };
    const variantKeys = () => isBoolean() ? known.booleans : variantsIn().map((each) => String(each.key));
    const { attributeInput, beside, list, show } = ruleCards({
        field, known, served: servedBy({ variantKeys, isBoolean }), added: () => ({ serve: { variant: variantKeys()[0] ?? "" } }),
        words: { some: "The first rule that matches decides.", none: "No rule yet: the values of organizations count." },
    });
    const rolloutField = document.getElementById("id_default_rollout");
    const showRollout = rolloutField
        ? editDefaultRollout({ field: rolloutField, variantKeys, isBoolean, attributeInput }) : () => {};
    let shownKeys = JSON.stringify(variantKeys());
    const showVariants = () => {
        const keys = JSON.stringify(variantKeys());
        if (keys !== shownKeys) {
            shownKeys = keys;
            show();
            showRollout();
        }
    };
    onOthers(variantsField, showVariants);
    typeField?.addEventListener("change", showVariants);
    showTrial(beside, list);
}
