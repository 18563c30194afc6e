// Edits the rules of a segment as cards, and its lists of targeting keys as chips, beside a trial.
import { canKeepNumbers, foldedField, make, onOthers, write } from "./editor_parts.js";
import { ruleCards } from "./rule_cards.js";
import { showTrial } from "./trial.js";
import { chips } from "./value_chips.js";

const data = document.getElementById("segment-editor");
const field = document.getElementById("id_rules");

// Targeting keys stand in the lines of a field, each once.
const keyChips = (lines, label) => {
    const place = make("div", { class: "fs-keys" });
    const load = () => {
        const keys = lines.value.split(/\r?\n/).filter((line) => line.trim());
        place.replaceChildren(chips({
            label, values: keys, rest: "in the lines below", shown: (key) => key,
            parts: (text) => text.trim() && !keys.includes(text.trim()) ? [text.trim()] : [],
            changed: () => write(lines, keys.join("\n")), attributes: { placeholder: "user-17" },
        }));
    };
    foldedField(lines, place, "Lines");
    onOthers(lines, load);
    load();
};

if (data && field && canKeepNumbers) {
    const { beside, list } = ruleCards({
        field, known: JSON.parse(data.dataset.known),
        words: { some: "", none: "No rule yet: the included keys are the segment." },
    });
    keyChips(document.getElementById("id_included"), "Add an included key");
    keyChips(document.getElementById("id_excluded"), "Add an excluded key");
    showTrial(beside, list);
}
