// Runs before anything is painted, so that a chosen theme or a hidden sidebar does not flash.
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  if (localStorage.getItem("sidebar") === "hidden") document.documentElement.dataset.sidebar = "hidden";
} catch {
  // The browser keeps nothing for this page: the system's theme it is.
}
