// Follows what happens: when an event says so, the page is loaded again, and each part marked `data-live` is put in
// place of the old one. Everything works without; nothing is shown here that the server has not written.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  // Milliseconds between two loads, at least and without any event.
  const SHORTEST = 400, LONGEST = 10000;
  const news = document.getElementById("news"), mark = document.getElementById("live");
  const search = document.getElementById("search");
  let address = location.href, current = null, timer = 0, began = 0, took = 0, stream = null, texts = [];

  // Parts as the server wrote them, so that what this script adds makes no difference.
  const written = new Map();
  const parts = (of) => [...of.querySelectorAll("[data-live][id]")];
  parts(document).forEach((part) => written.set(part.id, part.outerHTML));

  const rows = (part) => new Map([...part.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row.dataset.state]));

  // Something about the focused element by which it is found again.
  const focused = (part) => {
    const one = document.activeElement;
    if (!one || !part.contains(one)) return null;
    const link = one.getAttribute("href"), label = one.getAttribute("aria-label") || one.textContent;
    return (now) => [...now.querySelectorAll(one.tagName)].find((other) =>
      link === null ? (other.getAttribute("aria-label") || other.textContent) === label : other.getAttribute("href") === link);
  };

  const selected = (part) => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(part, true);
  };

  const swap = (old, text, now, isSame) => {
    const known = rows(old), again = focused(old);
    const open = [...old.querySelectorAll("details")].map((one) => one.open);
    written.set(old.id, text);
    old.replaceWith(now);
    // Another search or page has other rows for other reasons.
    if (isSame && known.size) {
      now.querySelectorAll("tr[data-key]").forEach((row) => {
        const { key, state } = row.dataset;
        if (!known.has(key) || known.get(key) !== state) row.classList.add("new");
      });
    }
    now.querySelectorAll("details").forEach((one, i) => { one.open = isSame && open[i] === true; });
    const target = again && again(now);
    if (target) target.focus({ preventScroll: true });
    enhance(now);
  };

  const load = async (isSame) => {
    clearTimeout(timer);
    if (current) {
      if (isSame) return;
      current.abort();
    }
    const mine = current = new AbortController();
    began = performance.now();
    const said = texts;
    texts = [];
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: mine.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      parts(page).forEach((now) => {
        const old = document.getElementById(now.id), text = now.outerHTML;
        if (old && written.get(now.id) !== text && !(isSame && selected(old))) swap(old, text, document.adoptNode(now), isSame);
      });
      if (page.title) document.title = page.title;
      if (said.length) news.textContent = said.length > 1 ? `${said.length} changes, the last: ${said.at(-1)}` : said[0];
    } catch (error) {
      if (error.name !== "AbortError") away(true);
    }
    took = performance.now() - began;
    if (current === mine) {
      current = null;
      if (!document.hidden) plan(texts.length ? 0 : LONGEST);
    }
  };

  // Loads after `delay`, and not so soon that the server would have nothing else to do.
  const plan = (delay) => {
    clearTimeout(timer);
    const pause = Math.max(SHORTEST, 10 * took) - (performance.now() - began);
    timer = setTimeout(() => load(true), Math.max(delay, pause, 0));
  };

  const away = (is) => {
    mark.hidden = false;
    mark.classList.toggle("away", is);
    mark.textContent = is ? "reconnecting" : "live";
  };

  // A hidden page follows nothing: a browser has few connections to one server.
  const follow = () => {
    if (document.hidden) {
      if (stream) stream.close();
      stream = null;
      clearTimeout(timer);
      return;
    }
    if (stream) return;
    stream = new EventSource("/v1/events");
    stream.onopen = () => { away(false); plan(0); };
    stream.onerror = () => away(true);
    stream.addEventListener("reset", () => plan(0));
    stream.onmessage = (event) => {
      texts.push(JSON.parse(event.data).text);
      if (!current) plan(0);
    };
  };

  const copy = async (code, button) => {
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      // Without a right to the clipboard the reader's own key copies what is selected.
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
      return;
    }
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  };

  const enhance = (part) => {
    part.querySelectorAll("code[data-copy]").forEach((code) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "copy";
      button.setAttribute("aria-label", `Copy: ${code.dataset.copy}`);
      button.addEventListener("click", () => copy(code, button));
      code.after(button);
    });
  };

  // Searches as one types.
  if (search) {
    let typing = 0;
    const find = () => {
      const wanted = new URL(search.action);
      new FormData(search).forEach((value, key) => { if (value) wanted.searchParams.set(key, value); });
      if (wanted.href === address) return;
      address = wanted.href;
      history.replaceState(null, "", address);
      load(false);
    };
    search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(find, 150); });
    search.addEventListener("submit", (event) => { event.preventDefault(); find(); });
  }

  enhance(document);
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) { stream = null; follow(); } });
  follow();
})();
