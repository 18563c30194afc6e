// Shows the trial of what is not saved yet beside the cards, and marks on the cards what it has found.

const OUTCOMES = { true: "matches", false: "does not match" };

// `beside` is the element that gets the trial, and `list` has the cards.
export const showTrial = (beside, list) => {
    const trial = document.getElementById("try-out");
    if (!trial) {
        return;
    }
    trial.hidden = false;
    beside.append(trial);
    const mark = () => {
        const result = trial.querySelector("[data-outcomes]");
        const outcomes = JSON.parse(result?.dataset.outcomes ?? "[]");
        const number = Number(result?.dataset.number ?? 0);
        Array.from(list.children, (card, place) => {
            card.classList.toggle("fs-decides", place + 1 === number);
            Array.from(card.querySelectorAll(".fs-outcome"), (outcome, clause) => {
                const found = outcomes[place]?.[clause];
                outcome.textContent = OUTCOMES[found] ?? "";
                outcome.classList.toggle("fs-holds", found === true);
            });
        });
    };
    document.addEventListener("DOMContentLoaded", () => window.htmx?.trigger("#try-out-form", "editor-shown"));
    document.addEventListener("htmx:afterSwap", (event) => event.target.id === "try-out-result" && mark());
};
