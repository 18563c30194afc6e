// Lets this browser tell of events: it asks for the permission, registers the service worker, subscribes at the push
// service of the browser, and hands the subscription to the form. The page has a part for each state.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    const panel = document.getElementById("this-browser");
    if (!panel) {
        return;
    }
    const known = JSON.parse(document.getElementById("known-browsers").textContent);
    const problem = document.getElementById("push-problem");
    const wish = document.getElementById("tell-this-browser");

    const show = (state) => {
        panel.dataset.now = state;
        for (const part of panel.querySelectorAll("[data-states]")) {
            part.hidden = !part.dataset.states.split(" ").includes(state);
        }
    };
    const bytes = (text) =>
        Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
    const serverKey = bytes(panel.dataset.key);
    const fingerprint = async (endpoint) => {
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(endpoint)));
        return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    };
    const hasServerKey = (subscription) => {
        const key = new Uint8Array(subscription.options.applicationServerKey ?? []);
        return key.length === serverKey.length && key.every((byte, place) => byte === serverKey[place]);
    };
    const present = async () => {
        const registration = await navigator.serviceWorker.getRegistration(panel.dataset.worker);
        return (await registration?.pushManager.getSubscription()) ?? null;
    };
    const activated = (registration) =>
        new Promise((resolve) => {
            const worker = registration.installing ?? registration.waiting;
            if (registration.active || !worker) {
                resolve();
                return;
            }
            worker.addEventListener("statechange", () => worker.state === "activated" && resolve());
        });

    const look = async () => {
        if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
            show("unsupported");
            return;
        }
        if (Notification.permission === "denied") {
            show("blocked");
            return;
        }
        const subscription = await present();
        const here = subscription && hasServerKey(subscription) ? await fingerprint(subscription.endpoint) : "";
        const told = known.find((each) => each.fingerprint === here);
        if (!told) {
            show("off");
            return;
        }
        for (const field of panel.querySelectorAll("input[name=subscription]")) {
            field.value = told.id;
        }
        for (const box of wish.querySelectorAll("input[name=events]")) {
            box.checked = told.events.includes(box.value);
        }
        show("on");
    };

    const subscribe = async () => {
        if ((await Notification.requestPermission()) !== "granted") {
            await look();
            return;
        }
        const registration = await navigator.serviceWorker.register(panel.dataset.worker);
        await activated(registration);
        const before = await registration.pushManager.getSubscription();
        if (before && !hasServerKey(before)) {
            await before.unsubscribe();
        }
        const subscription = await registration.pushManager.subscribe({
            userVisibleOnly: true,
            applicationServerKey: serverKey,
        });
        wish.elements.target.value = JSON.stringify(subscription);
        wish.submit();
    };
    const stop = async (form) => {
        await (await present())?.unsubscribe();
        form.submit();
    };
    const attempt = (event, work) => {
        event.preventDefault();
        problem.textContent = "";
        const button = event.submitter;
        button.disabled = true;
        work()
            .catch((error) => (problem.textContent = `The browser refuses: ${error.message}`))
            .finally(() => (button.disabled = false));
    };
    wish.addEventListener("submit", (event) => attempt(event, subscribe));
    const stopping = document.getElementById("stop-this-browser");
    stopping.addEventListener("submit", (event) => attempt(event, () => stop(stopping)));
    look().catch((error) => (problem.textContent = `The browser refuses: ${error.message}`));
});
