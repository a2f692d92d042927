"use strict";
// Sorts tables by a click on a head, and tells more about what is pointed at.
(() => {
  const tip = document.getElementById("tip");

  const order = (cell) => {
    const number = cell && cell.dataset.number;
    return number === undefined ? null : Number(number);
  };

  const compare = (a, b) => {
    const [x, y] = [order(a), order(b)];
    if (x !== null && y !== null) return x - y;
    if (x !== null) return -1;
    if (y !== null) return 1;
    return a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  };

  for (const table of document.querySelectorAll("table.grid")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => {
          const result = compare(a.cells[column], b.cells[column]);
          return descending ? -result : result;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  const show = (cell) => {
    tip.textContent = cell.dataset.tip;
    tip.hidden = false;
    const at = cell.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left), window.innerWidth - own.width - 8);
    const below = at.bottom + 6;
    const top = below + own.height < window.innerHeight ? below : at.top - own.height - 6;
    tip.style.left = `${left}px`;
    tip.style.top = `${Math.max(8, top)}px`;
  };
  const hide = () => {
    tip.hidden = true;
  };

  for (const cell of document.querySelectorAll("[data-tip]")) {
    cell.addEventListener("pointerenter", () => show(cell));
    cell.addEventListener("pointerleave", hide);
    cell.addEventListener("focus", () => show(cell));
    cell.addEventListener("blur", hide);
  }
  addEventListener("scroll", hide, { passive: true, capture: true });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  // What was folded away is printed too, but for the numbers behind the pictures.
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not(.numbers)").forEach((details) => {
      details.open = true;
    });
  });
})();
