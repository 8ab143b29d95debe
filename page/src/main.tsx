import { render } from "preact";
import { useMemo, useEffect } from "preact/hooks";
import "./style.css";
import { listen, route } from "./router";
import { Store } from "./store";
import { ExecutionView } from "./views/execution";
import { ListView } from "./views/list";
import { Link } from "./views/parts";

function Page() {
  const id = route.value.execution;
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header class="top">
        <Link to={{ execution: null, task: null, at: null, tab: "graph" }} class="brand">
          <img src={new URL("./icon.svg", import.meta.url).pathname} alt="" width="22" height="22" /> Talka
        </Link>
        <nav aria-label="Elsewhere"><a href="/api/v1/openapi.json">API</a></nav>
      </header>
      <main id="main" tabIndex={-1}>{id === null ? <ListView /> : <Followed key={id} id={id} />}</main>
    </>
  );
}

function Followed({ id }: { id: string }) {
  const store = useMemo(() => new Store(id), [id]);
  useEffect(() => () => store.close(), [store]);
  return <ExecutionView store={store} />;
}

listen();
render(<Page />, document.getElementById("page")!);
