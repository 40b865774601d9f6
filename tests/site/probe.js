// Questions that the tests put to a page.  Each function is called by name from looking.py.
window.probe = {
  // Resolves when formulas are typeset and every control of the page is drawn.
  async ready() {
    if (window.MathJax && window.MathJax.startup) {
      await window.MathJax.startup.promise;
    }
    const views = 'script[type="application/vnd.jupyter.widget-view+json"]';
    const wanted = document.querySelectorAll(views).length;
    const until = performance.now() + 15000;
    while (document.querySelectorAll(".widget-subarea > .jupyter-widgets").length < wanted) {
      if (performance.now() > until) {
        return `${wanted} controls, not all of them drawn`;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await document.fonts.ready;
    return "";
  },

  // Formulas that are not drawn, or drawn as an error.
  math() {
    const found = [];
    const skip = "pre, code, script, style, noscript, textarea, mjx-container, .tex2jax_ignore";
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const raw = /\$|\\\(|\\\[|\\begin\{/.test(node.data);
      if (raw && !node.parentElement.closest(skip) && node.parentElement.checkVisibility()) {
        found.push(`raw formula: ${node.data.trim().slice(0, 60)}`);
      }
    }
    for (const error of document.querySelectorAll("mjx-merror")) {
      found.push(`formula in error: ${error.textContent.slice(0, 60)}`);
    }
    for (const formula of document.querySelectorAll(".math.notranslate")) {
      if (!formula.querySelector("mjx-container")) {
        found.push(`formula not drawn: ${formula.textContent.slice(0, 60)}`);
      }
    }
    return found;
  },

  // What reaches beyond the window, or is cut off by a box that contains it.
  layout() {
    const found = [];
    const page = document.documentElement;
    if (page.scrollWidth > window.innerWidth) {
      found.push(`the page is ${page.scrollWidth} wide in a window of ${window.innerWidth}`);
    }
    const figures = ".bd-article img, .bd-article svg, .bd-article canvas, .bd-article video";
    for (const figure of document.querySelectorAll(figures)) {
      const box = figure.getBoundingClientRect();
      if (box.width === 0 || !figure.checkVisibility() || figure.closest("mjx-container")) {
        continue;
      }
      let left = 0;
      let right = window.innerWidth;
      for (let outer = figure.parentElement; outer !== page; outer = outer.parentElement) {
        if (getComputedStyle(outer).overflowX !== "visible") {
          const edge = outer.getBoundingClientRect();
          left = Math.max(left, edge.left);
          right = Math.min(right, edge.right);
        }
      }
      if (box.left < left - 1 || box.right > right + 1) {
        const name = figure.alt || figure.getAttribute("src") || figure.tagName;
        found.push(`cut off: ${name.slice(0, 60)} [${box.left}, ${box.right}] in [${left}, ${right}]`);
      }
    }
    return found;
  },

  // What a control's area shows, without the control itself.
  shown(area) {
    const own = ".widget-readout, .widget-label, .noUi-target, .widget-play, button, select";
    const parts = [];
    for (const item of area.querySelectorAll("img, svg, canvas, p, pre, td, span, div")) {
      if (item.closest(own) || !item.checkVisibility()) {
        continue;
      }
      if (item.tagName === "IMG") {
        parts.push(item.src);
      } else if (item.tagName === "svg") {
        parts.push(item.outerHTML);
      } else if (item.tagName === "CANVAS") {
        parts.push(item.toDataURL());
      } else if (item.children.length === 0) {
        parts.push(item.textContent);
      }
    }
    return parts.join("\n");
  },
};
