import { render } from "preact";
import { useMemo, useEffect } from "preact/hooks";
import "./style.css";
import { caller, introduce } from "./caller";
import { HOME, type Route, listen, route } from "./router";
import { Store } from "./store";
import { AlertsLink, AlertsView } from "./views/alerts";
import { ExecutionView } from "./views/execution";
import { ListView } from "./views/list";
import { Link } from "./views/parts";
import { PoolsView } from "./views/resources";

function Page() {
  const here = route.value;
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
      <main id="main" tabIndex={-1}><View here={here} /></main>
    </>
  );
}

function View({ here }: { here: Route }) {
  if (here.execution !== null) return <Followed key={here.execution} id={here.execution} />;
  if (here.page === "pools") return <PoolsView />;
  return here.page === "alerts" ? <AlertsView /> : <ListView />;
}

function Followed({ id }: { id: string }) {
  const store = useMemo(() => new Store(id), [id]);
  useEffect(() => () => store.close(), [store]);
  return <ExecutionView store={store} />;
}

introduce();
listen();
render(<Page />, document.getElementById("page")!);
