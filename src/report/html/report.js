// Sorting and filtering. The page is whole without it.
// The address can ask for both: #sort=f1&arm=1&find=refund
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (value) => (/\d/.test(value) ? parseFloat(value.replace(/[^\d.eE+-]/g, "")) : NaN);

  function sort(head, direction) {
    const table = head.closest("table"), column = head.cellIndex, body = table.tBodies[0];
    const numeric = head.classList.contains("num");
    const value = (row) => (numeric ? number(text(row, column)) : text(row, column));
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (!numeric) return direction * x.localeCompare(y);
      // What has no number comes last in both directions.
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
      return direction * (x - y);
    };
    const rows = [...body.rows].sort(compare);
    body.append(...rows);
    for (const other of all("[aria-sort]", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    if (table.matches(".matrix")) align(table, rows.map((row) => row.dataset.r));
  }

  // The columns of a matrix follow its rows, so that the diagonal stays one.
  function align(table, order) {
    for (const row of table.rows) {
      const cells = new Map(all("[data-c]", row).map((cell) => [cell.dataset.c, cell]));
      const last = row.querySelector("[data-last]");
      for (const place of order) row.insertBefore(cells.get(place), last);
    }
  }

  for (const head of all("table.sortable th[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const first = head.classList.contains("num") ? -1 : 1;
      const now = head.getAttribute("aria-sort");
      sort(head, now === null ? first : now === "ascending" ? -1 : 1);
    });
  }

  const tools = document.getElementById("tools"), find = document.getElementById("find"), arm = document.getElementById("arm");
  function filter() {
    const wanted = arm ? arm.value : "", part = find.value.trim().toLowerCase();
    const fits = (it) =>
      (!wanted || !it.dataset.arm || it.dataset.arm === wanted) &&
      (!wanted || it.dataset.arms === undefined || it.dataset.arms.split(" ").includes(wanted)) &&
      (!part || it.dataset.intents === undefined || it.dataset.intents.toLowerCase().includes(part));
    for (const it of all("[data-arm], [data-arms], [data-intents]")) it.hidden = !fits(it);
  }
  tools.hidden = false;
  tools.addEventListener("input", filter);
  tools.addEventListener("submit", (event) => event.preventDefault());

  const asked = new URLSearchParams(location.hash.slice(1));
  const key = asked.get("sort");
  if (key) {
    const heads = all("th[data-key]");
    const head = heads.find((it) => it.dataset.key === key) || heads.find((it) => it.dataset.key.startsWith(key + "-"));
    if (head) sort(head, asked.get("down") === null ? 1 : -1);
  }
  if (asked.get("find")) find.value = asked.get("find");
  if (arm && asked.get("arm")) arm.value = asked.get("arm");
  filter();
})();
