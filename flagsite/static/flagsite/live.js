// Keeps <details> open that a person has opened, when htmx replaces a part of the page.
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
