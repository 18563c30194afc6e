// Keeps the theme's listeners away from fields and buttons that work in their own way.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    for (const field of document.querySelectorAll("[data-own-change]")) {
        field.hasChangeListener = true; // the theme's listener works only with the theme's own file field
    }
});
document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-own-submit]")) {
        event.stopPropagation(); // the theme would send the form by htmx
    }
}, true);
