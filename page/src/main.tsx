import { render } from "preact";
import { useMemo, useEffect } from "preact/hooks";
import "./style.css";
import { caller, introduce } from "./caller";
import { HOME, listen, routed } from "./router";
import { Store } from "./store";
import { AlertsLink, AlertsView } from "./views/alerts";
import { ExecutionView } from "./views/execution";
import { ListView } from "./views/list";
import { Link } from "./views/parts";
import { PoolsView } from "./views/resources";

function Page() {
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header class="top">
        <Link to={HOME} class="brand">
          <img src={new URL("./icon.svg", import.meta.url).pathname} alt="" width="22" height="22" /> Talka
        </Link>
        <nav aria-label="Elsewhere">
          <Link to={{ ...HOME, page: "pools" }}>Pools</Link>
          <AlertsLink />
          <a href="/api/v1/openapi.json">API</a>
          {caller.value && <span class="caller" title={`Signed in as ${caller.value.name}`}>{caller.value.role}</span>}
        </nav>
      </header>
      <main id="main" tabIndex={-1}><View /></main>
    </>
  );
}

function View() {
  const [execution, page] = [routed.execution.value, routed.page.value];
  if (execution !== null) return <Followed key={execution} id={execution} />;
  if (page === "pools") return <PoolsView />;
  return page === "alerts" ? <AlertsView /> : <ListView />;
}

function Followed({ id }: { id: string }) {
  const store = useMemo(() => new Store(id), [id]);
  useEffect(() => () => store.close(), [store]);
  return <ExecutionView store={store} />;
}

introduce();
listen();
render(<Page />, document.getElementById("page")!);
