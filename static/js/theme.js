// Light, dark, or as the system has it; the same in all tabs.

const KEY = "chat.theme";

// `bars`: the colours of the browser's own bar, one element for each of the system's schemes.
export function followTheme(choices, { storage, bars }) {
  const colours = new Map(bars.map((bar) => [bar.media.includes("dark") ? "dark" : "light", bar.content]));
  const apply = () => {
    const theme = storage.get(KEY) ?? "auto";
    document.documentElement.dataset.theme = theme;
    choices.querySelector(`[value=${theme}]`).checked = true;
    for (const bar of bars)
      bar.content = colours.get(theme) ?? colours.get(bar.media.includes("dark") ? "dark" : "light");
  };
  choices.addEventListener("change", ({ target }) => {
    storage.set(KEY, target.value);
    apply();
  });
  addEventListener("storage", ({ key }) => key === KEY && apply());
  apply();
}
