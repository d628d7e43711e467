// Light, dark, or as the system has it; the same in all tabs.

const KEY = "chat.theme";

export function followTheme(choices, storage) {
  const apply = () => {
    const theme = storage.get(KEY) ?? "auto";
    document.documentElement.dataset.theme = theme;
    choices.querySelector(`[value=${theme}]`).checked = true;
  };
  choices.addEventListener("change", ({ target }) => {
    storage.set(KEY, target.value);
    apply();
  });
  addEventListener("storage", ({ key }) => key === KEY && apply());
  apply();
}
