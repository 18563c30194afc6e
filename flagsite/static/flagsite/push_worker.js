// The service worker that shows the messages of Flagsite in this browser. A click opens the page that a message is about.
"use strict";
self.addEventListener("push", (event) => {
    const { id, title, body, url } = event.data.json();
    event.waitUntil(self.registration.showNotification(title, { body, tag: id, data: { url } }));
});
self.addEventListener("notificationclick", (event) => {
    event.notification.close();
    const url = new URL(event.notification.data.url, self.location.origin).href;
    event.waitUntil(
        self.clients.matchAll({ type: "window", includeUncontrolled: true }).then((windows) => {
            const open = windows.find((each) => each.url === url);
            return open ? open.focus() : self.clients.openWindow(url);
        }),
    );
});
