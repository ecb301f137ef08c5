// Counters that move, "/" for the search, and Copy. Everything else works without scripts.

const number = new Intl.NumberFormat("en");
const counters = [...document.querySelectorAll("[data-clicks]")];
const leaders = document.querySelector("#leaders");

function set(element, clicks) {
  const text = number.format(clicks);
  if (element.textContent === text) return;
  element.textContent = text;
  element.classList.remove("moved");
  void element.offsetWidth; // so that the animation starts again
  element.classList.add("moved");
}

function showLeaders(links) {
  const before = new Map([...leaders.children].map((row) => [row.firstElementChild.textContent, row]));
  const rows = links.map(({ slug, clicks }) => {
    const row = before.get(slug) ?? document.querySelector("#leader").content.firstElementChild.cloneNode(true);
    const [link, count] = row.children;
    if (link.textContent !== slug) {
      link.textContent = slug;
      link.href = "/" + slug;
    }
    set(count, clicks);
    return row;
  });
  const same = rows.length === leaders.children.length && rows.every((row, n) => row === leaders.children[n]);
  if (!same) leaders.replaceChildren(...rows); // else the focus stays where it is
}

if (counters.length || leaders) {
  const watched = new URLSearchParams(counters.map((element) => ["id", element.dataset.clicks]));
  const events = new EventSource(`/live?${watched}`);
  const pulse = document.querySelector(".pulse");
  events.onmessage = ({ data }) => {
    const change = JSON.parse(data);
    for (const element of counters) {
      const clicks = change.clicks[element.dataset.clicks];
      if (clicks !== undefined) set(element, clicks);
    }
    if (leaders) showLeaders(change.leaders);
  };
  if (pulse) {
    events.onopen = () => (pulse.hidden = false);
    events.onerror = () => (pulse.hidden = true); // the browser tries again by itself
  }
  addEventListener("pagehide", () => events.close());
}

addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.querySelector("[type=search]").focus();
  }
});

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(location.origin + button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
