// Small repairs that need the page in the browser.
(function () {
  "use strict";

  // The widget manager asks for MathJax 2's queue; the book has MathJax 3.
  function bridgeMathJax() {
    const mathjax = window.MathJax;
    if (mathjax && mathjax.typesetPromise && !mathjax.Hub) {
      mathjax.Hub = {
        Queue: (request) =>
          mathjax.startup.promise.then(() => mathjax.typesetPromise([request[2]])),
      };
    }
  }

  // Names for assistive technology, which the widgets do not give their own controls.
  const buttonNames = ["Play or pause", "Back to the start", "Repeat"];

  function nameControls(root) {
    for (const handle of root.querySelectorAll(".noUi-handle:not([aria-label])")) {
      const label = handle.closest(".jupyter-widgets").querySelector(".widget-label");
      handle.setAttribute("aria-label", (label && label.textContent.trim()) || "Slider");
    }
    for (const play of root.querySelectorAll(".widget-play")) {
      play.querySelectorAll("button").forEach((button, i) => {
        if (!button.getAttribute("aria-label")) {
          button.setAttribute("aria-label", buttonNames[i] || "Control");
        }
      });
    }
  }

  // What scrolls sideways must be reachable from the keyboard.
  function reachScrolling() {
    const boxes = ".bd-article pre, .pst-scrollable-table-container, .output.text_html";
    for (const box of document.querySelectorAll(boxes)) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
      }
    }
  }

  // A page opened as a file may not read other pages, so the search lists titles only.
  if (window.location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS === "object") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }

  bridgeMathJax();
  reachScrolling();
  window.addEventListener("resize", reachScrolling);
  if (document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]')) {
    nameControls(document);
    new MutationObserver(() => nameControls(document)).observe(document.body, {
      childList: true,
      subtree: true,
    });
  }
})();
