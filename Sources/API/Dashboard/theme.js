// Sets the chosen theme before the first paint; without a choice the system's holds.
{
  const key = "twinscale.theme";
  const read = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const set = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  set(read());
  window.twinscaleTheme = {
    get isDark() {
      const chosen = document.documentElement.dataset.theme;
      return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    },
    toggle() {
      const theme = this.isDark ? "light" : "dark";
      try {
        localStorage.setItem(key, theme);
      } catch {
        /* only this page then */
      }
      set(theme);
      dispatchEvent(new Event("themechange"));
    },
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
}
