"use strict";
// The page works without this script: it adds sorting, a filter, and the opening of what a link
// leads to in browsers that do not do it by themselves.
{
  const table = document.getElementById("table");
  if (table) {
    const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
    const words = new Intl.Collator(undefined, {numeric: true});
    const value = (row, column) => {
      const cell = row.cells[column];
      if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
      return cell.textContent || null;
    };
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const h of heads) h.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
        const keys = new Map(rows.map((row, i) => [row, [value(row, column), i]]));
        const sorted = [...rows].sort((a, b) => {
          const [x, i] = keys.get(a), [y, j] = keys.get(b);
          if (x === null || y === null) return (x === null) - (y === null) || i - j; // what is not known comes last
          return down * (typeof x === "number" && typeof y === "number" ? x - y : words.compare(x, y)) || i - j;
        });
        body.append(...sorted);
      });
    });

    const filter = document.getElementById("filter"), found = document.getElementById("found");
    document.getElementById("tools").hidden = false;
    const texts = rows.map(row => row.textContent.toLowerCase());
    const show = () => {
      const wanted = filter.value.trim().toLowerCase();
      let n = 0;
      rows.forEach((row, i) => n += !(row.hidden = !texts[i].includes(wanted)));
      found.textContent = wanted ? n + " of " + rows.length : "";
    };
    filter.addEventListener("input", show);
    if (filter.value) show();
  }

  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = target && target.closest("details");
    if (fold && !fold.open) {
      fold.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  reveal();
}
