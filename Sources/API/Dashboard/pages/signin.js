import { h, replace, text } from "../parts/dom.js";
import { get, session } from "../parts/api.js";
import { field } from "../parts/ui.js";

/** Asks for a token, and goes on once the server takes it. */
export function signIn(root, next) {
  const problem = h("p", { class: "problem", role: "alert" });
  const input = h("input", {
    type: "password",
    name: "token",
    required: true,
    autocomplete: "current-password",
    spellcheck: "false",
  });
  replace(
    root,
    h(
      "div",
      { class: "signin" },
      h("h1", { tabindex: "-1" }, "Sign in"),
      h("p", { class: "lead" }, "This server asks who you are. Paste your token; it is kept until you close this tab."),
      h(
        "form",
        {
          onsubmit: async (event) => {
            event.preventDefault();
            session.token = input.value.trim();
            const again = session.onUnauthorized;
            session.onUnauthorized = () => {};
            try {
              await get("/v1/me");
              session.onUnauthorized = again;
              next();
            } catch (error) {
              session.onUnauthorized = again;
              session.token = null;
              text(problem, error.status === 401 ? "The server does not know this token." : error.message);
            }
          },
        },
        field("Token", input),
        problem,
        h("button", { class: "button primary", type: "submit" }, "Sign in"),
      ),
    ),
  );
  input.focus();
}
