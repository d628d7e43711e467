// Where an on-screen keyboard covers the page instead of resizing it, the page takes what is left.

export function followKeyboard(viewport, root) {
  viewport?.addEventListener("resize", () => {
    // Who zooms in sees less of the page as well, and wants it to stay as it is.
    if (viewport.scale === 1) root.style.setProperty("--visible-height", `${viewport.height}px`);
  });
}
