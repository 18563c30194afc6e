// Gives search boxes (select2) the name of the label of their list of choices, and hides what is no choice from screen readers.
"use strict";
(() => {
    const nameAll = () => {
        for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
            const name = select.labels[0]?.textContent.trim();
            const box = select.nextElementSibling;
            for (const part of box?.querySelectorAll("[role=combobox], [role=textbox], [role=searchbox]") ?? []) {
                part.removeAttribute("aria-labelledby");
                part.setAttribute("aria-label", name || select.name);
            }
            box?.querySelector(".select2-selection__clear")?.setAttribute("aria-hidden", "true");  // for the mouse only
        }
    };
    document.addEventListener("DOMContentLoaded", () => {
        nameAll();
        new MutationObserver(nameAll).observe(document.body, { childList: true, subtree: true });
    });
})();
