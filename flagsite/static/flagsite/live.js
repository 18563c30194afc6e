// Parts of a page that are fetched again keep open what a person has opened in them.
"use strict";
(() => {
    const opened = new WeakMap();
    document.addEventListener("htmx:beforeSwap", (event) => {
        const found = event.target.querySelectorAll?.("details[open][id]") ?? [];
        opened.set(event.target, Array.from(found, (details) => details.id));
    });
    document.addEventListener("htmx:afterSwap", (event) => {
        for (const id of opened.get(event.target) ?? []) {
            document.getElementById(id)?.setAttribute("open", "");
        }
    });
})();
