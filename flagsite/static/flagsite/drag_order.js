// Gives an item of a list another place by dragging its handle: with the mouse, a pen or a finger.

const EDGE = 60;
const STEP = 12;

// `moved` takes the number of the item before and after.
export const dragged = (handle, item, moved) => {
    handle.addEventListener("pointerdown", (start) => {
        if (start.button !== 0 || !start.isPrimary) {
            return;
        }
        start.preventDefault();
        const list = item.parentElement;
        const from = Array.from(list.children).indexOf(item);
        let to = from;
        let height = start.clientY;
        let frame = 0;
        const show = () => {
            const others = Array.from(list.children).filter((each) => each !== item);
            to = others.filter((each) => {
                const box = each.getBoundingClientRect();
                return box.top + box.height / 2 < height;
            }).length;
            others.forEach((each, number) => {
                each.classList.toggle("fs-drop-before", number === to && to !== from);
                each.classList.toggle("fs-drop-after", number === others.length - 1 && to === others.length && to !== from);
            });
        };
        const scroll = () => {
            const step = height < EDGE ? -STEP : height > innerHeight - EDGE ? STEP : 0;
            if (step) {
                scrollBy(0, step);
                show();
            }
            frame = requestAnimationFrame(scroll);
        };
        const move = (event) => {
            height = event.clientY;
            show();
        };
        const end = (isDropped) => {
            cancelAnimationFrame(frame);
            handle.removeEventListener("pointermove", move);
            handle.removeEventListener("pointerup", drop);
            handle.removeEventListener("pointercancel", cancel);
            document.removeEventListener("keydown", escape, true);
            item.classList.remove("fs-dragged");
            for (const each of list.children) {
                each.classList.remove("fs-drop-before", "fs-drop-after");
            }
            if (isDropped && to !== from) {
                moved(from, to);
            }
        };
        const drop = () => end(true);
        const cancel = () => end(false);
        const escape = (event) => {
            if (event.key === "Escape") {
                event.preventDefault();
                end(false);
            }
        };
        handle.setPointerCapture(start.pointerId);
        item.classList.add("fs-dragged");
        handle.addEventListener("pointermove", move);
        handle.addEventListener("pointerup", drop);
        handle.addEventListener("pointercancel", cancel);
        document.addEventListener("keydown", escape, true);
        frame = requestAnimationFrame(scroll);
    });
};
