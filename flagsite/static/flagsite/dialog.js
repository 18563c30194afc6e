// Shows the form of an operation in the dialog of the page, when htmx has put it there, and closes the dialog with "Back".
"use strict";
(() => {
    const dialogOf = (event) => event.target.closest?.("dialog.fs-dialog");
    document.addEventListener("htmx:beforeSwap", (event) => {
        const { xhr, pathInfo } = event.detail;
        if (!dialogOf(event) || !xhr.responseURL) {
            return;
        }
        if (!xhr.status.toString().startsWith("2")) {
            location.assign(pathInfo.requestPath);  // the page of the operation says what is wrong
        } else if (new URL(xhr.responseURL).pathname !== new URL(pathInfo.requestPath, location.href).pathname) {
            event.detail.shouldSwap = false;  // the session has ended, and this is the login
            location.reload();
        }
    });
    document.addEventListener("htmx:afterSwap", (event) => {
        const dialog = dialogOf(event);
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
