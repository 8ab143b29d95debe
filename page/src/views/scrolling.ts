import { useEffect, useRef, useState } from "preact/hooks";

/** Where a box is scrolled to, and how much of it is in sight. */
export function useScrolling() {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, left: 0, height: 600, width: 800 });
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const read = (): void =>
      setView({ top: element.scrollTop, left: element.scrollLeft, height: element.clientHeight, width: element.clientWidth });
    const observer = new ResizeObserver(read);
    observer.observe(element);
    element.addEventListener("scroll", read, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", read);
    };
  }, []);
  return { box, ...view };
}
