"""How it keeps itself fresh: what changed is swapped in place, so that nothing a person opened or chose is lost."""

from __future__ import annotations

REFRESH_S = 5

# Parts of <main> are replaced one by one, and only where they differ: an opened failure stays open, the focus
# and the place on the page stay, text being selected is left alone, and a verdict that stays the same is not
# read out again. Without scripts the page reloads itself as a whole. A page that was opened with a name and password
# in its address is asked for without them: browsers know them by then, and fetch refuses such an address.
SCRIPT = """
(() => {
  const every = %d, main = document.querySelector("main"), stale = document.getElementById("stale");
  const parts = (root) => [...root.children].filter((part) => part.id);
  let since = Date.now(), asking = false;

  const path = (element) => {
    const part = element.closest("details[id],section[id],nav[id]");
    if (!part || !main.contains(part)) return null;
    if (element.id) return "#" + CSS.escape(element.id);
    if (element.matches("summary")) return "#" + CSS.escape(element.parentElement.id) + ">summary";
    const href = element.getAttribute("href");
    return href === null ? null : "#" + CSS.escape(part.id) + ' a[href="' + CSS.escape(href) + '"]';
  };

  const swap = (fresh) => {
    const selection = getSelection();
    const chosen = (part) => !selection.isCollapsed && selection.containsNode(part, true);
    const focused = document.activeElement ? path(document.activeElement) : null;
    for (const open of main.querySelectorAll("details[open][id]")) {
      const same = fresh.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = true;
    }
    const wanted = parts(fresh), names = new Set(wanted.map((part) => part.id));
    for (const part of parts(main)) if (!names.has(part.id) && !chosen(part)) part.remove();
    let before = null;
    for (const part of wanted) {
      const old = parts(main).find((one) => one.id === part.id);
      if (!old) before ? before.after(part) : main.prepend(part);
      else if (!old.isEqualNode(part) && !chosen(old)) old.replaceWith(part);
      before = document.getElementById(part.id);
    }
    if (focused && document.activeElement === document.body)
      main.querySelector(focused)?.focus({ preventScroll: true });
  };

  const look = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const here = new URL(location.pathname, location.origin);
      const answer = await fetch(here, { cache: "no-store", signal: AbortSignal.timeout(2 * every) });
      if (!answer.ok) throw new Error("status " + answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      swap(page.querySelector("main"));
      document.title = page.title;
      document.getElementById("up").replaceWith(page.getElementById("up"));
      since = Date.now();
      stale.hidden = true;
    } catch (error) {
      const seconds = Math.round((Date.now() - since) / 1000);
      const told = "The bridge has not answered for " + seconds + " s: what stands here is old.";
      stale.firstElementChild.textContent = told;
      stale.hidden = false;
      document.title = "No answer \\u00b7 orchbridge";
    }
    asking = false;
  };

  setInterval(look, every);
  document.addEventListener("visibilitychange", look);
})();
""" % (1000 * REFRESH_S)  # noqa: UP031 - braces are the script's own
