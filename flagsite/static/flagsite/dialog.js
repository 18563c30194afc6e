// Shows the form of an operation in the dialog of the page, when htmx has put it there, and closes the dialog with "Back".
"use strict";
(() => {
    document.addEventListener("htmx:afterSwap", (event) => {
        const dialog = event.target.closest?.("dialog.fs-dialog");
        if (!dialog?.firstElementChild) {
            return;
        }
        if (!dialog.open) {
            dialog.showModal();
        }
        (dialog.querySelector("#preview") ?? dialog.querySelector("select, input:not([type=hidden])"))?.focus();
    });
    document.addEventListener("click", (event) => {
        const back = event.target.closest?.("dialog.fs-dialog .fs-back");
        if (back) {
            event.preventDefault();
            event.stopPropagation();
            back.closest("dialog").close();
        }
    }, true);
})();
