// Where RequireJS finds the widget manager: beside this file, so that a page works from any
// folder and from file://.
(function () {
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  const manager = here + "vendor/html-manager/embed-amd";
  window.require.config({
    paths: {
      "@jupyter-widgets/html-manager": manager,
      "@jupyter-widgets/html-manager/dist": here + "vendor/html-manager",
      "@jupyter-widgets/html-manager/dist/embed-amd": manager,
    },
  });
})();
