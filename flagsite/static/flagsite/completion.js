// Completes what people type: a combobox with a list of offers, for the mouse, the keyboard and screen readers.
import { make } from "./editor_parts.js";

const MOST_OFFERS = 12;
const WAIT = 200;
let lists = 0;
const said = make("p", { class: "fs-unseen", role: "status" });
document.body.append(said);

// Let an input offer what `find` returns for a text: a list of { value, words }, or a promise of one.
// `choose` takes the value that the person has chosen.
export const completed = (entry, find, choose) => {
    let list = null;
    let active = -1;
    let asked = 0;
    const isOpen = () => list !== null && !list.hidden;
    const close = () => {
        asked += 1;  // an answer that is under way comes too late
        if (isOpen()) {
            list.hidden = true;
            entry.setAttribute("aria-expanded", "false");
            entry.removeAttribute("aria-activedescendant");
        }
    };
    const take = (value) => {
        close();
        choose(value);
    };
    const mark = (place) => {
        active = place;
        Array.from(list.children, (offer, number) => offer.setAttribute("aria-selected", String(number === place)));
        const offer = list.children[place];
        offer?.scrollIntoView({ block: "nearest" });
        if (offer) {
            entry.setAttribute("aria-activedescendant", offer.id);
        } else {
            entry.removeAttribute("aria-activedescendant");
        }
    };
    const show = (offers) => {
        if (!list) {
            list = make("ul", { class: "fs-offers", role: "listbox", id: `offers-${lists += 1}`, "aria-label": "Offers" });
            entry.after(list);
            entry.setAttribute("aria-controls", list.id);
        }
        list.replaceChildren(...offers.map(({ value, words }, number) => make("li", {
            role: "option", id: `${list.id}-${number}`, "aria-selected": "false",
            pointerdown: (event) => event.preventDefault(),  // the input keeps the focus
            click: () => take(value),
        }, value, words ? make("span", { class: "fs-note" }, words) : null)));
        list.hidden = !offers.length;
        entry.setAttribute("aria-expanded", String(offers.length > 0));
        mark(-1);
        said.textContent = offers.length ? `${offers.length} found. Choose with the arrow keys.` : "";
    };
    const ask = async () => {
        const mine = asked += 1;
        const offers = await find(entry.value);
        if (mine === asked && document.activeElement === entry) {
            show(offers.slice(0, MOST_OFFERS));
        }
    };
    entry.setAttribute("role", "combobox");
    entry.setAttribute("aria-autocomplete", "list");
    entry.setAttribute("aria-expanded", "false");
    entry.addEventListener("input", ask);
    entry.addEventListener("click", () => isOpen() || ask());
    entry.addEventListener("blur", close);
    entry.addEventListener("keydown", (event) => {
        if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            event.preventDefault();
            if (!isOpen()) {
                ask();
            } else {  // beyond the last and before the first is the input itself
                const places = list.children.length + 1;
                mark((active + 1 + (event.key === "ArrowDown" ? 1 : places - 1)) % places - 1);
            }
        } else if (event.key === "Enter" && isOpen() && active >= 0) {
            event.preventDefault();
            list.children[active].click();
        } else if (event.key === "Escape" && isOpen()) {
            event.preventDefault();
            event.stopPropagation();
            close();
        } else if (event.key === "Enter" || event.key === "Tab") {
            close();
        }
    });
    return entry;
};

const has = (text, term) => text.toLowerCase().includes(term.toLowerCase());

// Find among offers that are known: those that begin with the text come first.
export const among = (offers) => (text) => {
    const term = text.trim();
    const found = offers.filter(({ value, words }) => has(value, term) || has(words ?? "", term));
    const isFirst = ({ value }) => value.toLowerCase().startsWith(term.toLowerCase());
    const ordered = [...found.filter(isFirst), ...found.filter((offer) => !isFirst(offer))];
    return ordered.length === 1 && ordered[0].value === term ? [] : ordered;
};

// Find organizations as the pickers of other forms do: by name, key or path, as far as the person may see them.
let waiting = null;
export const organizations = (address, paths) => async (text) => {
    waiting?.abort();
    waiting = new AbortController();
    const { signal } = waiting;
    await new Promise((resolve) => { setTimeout(resolve, WAIT); });
    try {
        const query = new URLSearchParams({ field: "term", input: "editor", term: text.trim() });
        const answer = signal.aborted ? null : await fetch(`${address}?${query}`, { signal });
        if (!answer?.ok) {
            return [];
        }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        return Array.from(page.querySelectorAll("option"), (option) => {
            const value = option.value.replace(/^key:/, "");  // what tells a key of digits from an id
            const words = option.textContent.slice(0, -` (${value})`.length);
            paths.set(value, words);
            return { value, words };
        });
    } catch (error) {
        if (error.name === "AbortError") {
            return [];
        }
        throw error;
    }
};
