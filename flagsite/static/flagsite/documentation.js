// The page has the dark theme if the person's system has it. Swagger UI styles it by a class of the root element.
"use strict";
const dark = matchMedia("(prefers-color-scheme: dark)");
const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", apply);
apply();
