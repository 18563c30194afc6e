// What a rule of a definition serves: a variant, or shares of several.
import { input, isObject, labelled, make, numberOf, select } from "./editor_parts.js";

const SHARE = "\u0000share";
const UNITS = { targetingKey: "users", organization: "organizations", ancestor: "ancestors on level" };

// Return a rollout that gives each variant the same share.
export const evenShares = (keys) => {
    const even = Math.floor(100 / (keys.length || 1));
    const weights = keys.map((key, place) => [key, place ? even : 100 - even * (keys.length - 1)]);
    return { rollout: Object.fromEntries(weights), by: "targetingKey" };
};

// Return the function that makes the elements. `variantKeys` and `isBoolean` tell how the form stands.
export const servedBy = ({ variantKeys, isBoolean }) => {
    const served = (rule, number, tools) => {
        rule.serve ??= {};
        const keys = variantKeys();
        const { serve } = rule;
        const chosen = isObject(serve.rollout) ? SHARE : String(serve.variant ?? "");
        const unknown = chosen === SHARE || keys.includes(chosen) ? [] : [[chosen, chosen ? `${chosen} (no variant)` : "–"]];
        const choice = select([...unknown, ...keys.map((key) => [key, key]), [SHARE, "a share"]], chosen, (value) => {
            rule.serve = value === SHARE ? evenShares(keys) : { variant: value };
            tools.changed(`[data-at="${number}.serve"]`);
        }, { "data-at": `${number}.serve` });
        return make("div", { class: "fs-serve", role: "group", "aria-label": `What rule ${number + 1} serves` },
            make("span", { class: "fs-note fs-join" }, "then"), labelled("Serve", choice),
            ...(chosen === SHARE ? share(serve, keys, number, tools) : []));
    };
    const share = shares(isBoolean);
    return served;
};

// Return the function that makes the weights, the unit and the bar of a rollout. It gets the rollout, the keys of the
// variants, the name under which its elements are found again, and what stores and shows the rollout.
export const shares = (isBoolean) => {
    const share = (serve, keys, name, { store, changed, attributeInput }) => {
        const weights = serve.rollout;
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
            if (isBoolean()) {
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
            changed(`[data-at="${name}.unit"]`);
        }, { "data-at": `${name}.unit` });
        showBar();
        return [
            ...(isBoolean() ? ["on"] : names).map(weight), labelled("of", unit),
            isAttribute ? labelled("Attribute", attributeInput({}, by, (value) => {
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
    return share;
};
