import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { get } from "../api/client";
import type { LedgerBlock, LedgerBlocks, LedgerStats, LedgerVerified, Queries } from "../api/types";
import { t } from "../i18n";
import { moment, number, percent } from "../lib/format";
import { useLoaded } from "../lib/hooks";
import { timeOf, told } from "../lib/ledger";
import { overview } from "../state";
import { Badge, Card, DnaName, Fact, Notice, Scroll, Short, Value, When } from "../ui/basics";

const PAGE = 25;

export function Ledger() {
  const stats = useLoaded((signal) => get<LedgerStats>("/api/oqt/ledger/stats", signal), 30);
  const model = overview.value;
  return (
    <>
      <Card title={t("ledger")} note={t("ledgerNote")} class="wide">
        {stats.error && !stats.data && (
          <Notice tone="warn">{t("ledgerAway", { why: stats.error.message })}</Notice>
        )}
        {stats.data && (
          <dl class="facts">
            <Fact name={t("blocks")}>
              <span class="number big">{number(stats.data.totalBlocks)}</span>
            </Fact>
            {stats.data.latestBlock && (
              <Fact name={t("newest")}>
                <When at={timeOf(stats.data.latestBlock.timestamp)} />{" "}
                <code translate={false} title={stats.data.latestBlock.hash}>
                  {stats.data.latestBlock.hash.slice(0, 16)}
                </code>
              </Fact>
            )}
            <Fact name={t("what")} wide>
              <span class="badges">
                {Object.entries(stats.data.typeBreakdown).map(([kind, count]) => (
                  <Badge key={kind}>
                    {kind} {number(count)}
                  </Badge>
                ))}
              </span>
            </Fact>
          </dl>
        )}
        {model?.ledger && (
          <p class="note">
            {t("seenByOperator", {
              height: number(model.ledger.height),
              head: model.ledger.head.slice(0, 16),
            })}
          </p>
        )}
        <Verify />
      </Card>
      <Blocks />
      <Questions />
    </>
  );
}

function Verify() {
  const [busy, setBusy] = useState(false);
  const [found, setFound] = useState<LedgerVerified | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const go = async () => {
    setBusy(true);
    setFailure(null);
    try {
      setFound(await get<LedgerVerified>("/api/oqt/ledger/verify"));
    } catch (error) {
      setFailure((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="verify">
      <button type="button" class="primary" disabled={busy} onClick={go}>
        {busy ? t("verifying") : t("verify")}
      </button>
      <div aria-live="polite">
        {failure && <Notice tone="bad">{failure}</Notice>}
        {found && !busy && <Verdict found={found} />}
      </div>
    </div>
  );
}

function Verdict({ found }: { found: LedgerVerified }) {
  if (found.error) return <Notice tone="warn">{t("ledgerAway", { why: found.error })}</Notice>;
  const wrong = found.invalidBlocks ?? [];
  if (found.valid) {
    const values = { count: number(found.verifiedBlocks), total: number(found.totalBlocks) };
    return <Notice tone="good">{t("ledgerHolds", values)}</Notice>;
  }
  return (
    <Notice tone="bad">
      {t("ledgerBroken", { count: number(wrong.length), total: number(found.totalBlocks) })}
      <ul>
        {wrong.slice(0, 10).map((block) => (
          <li key={block.blockNumber}>
            {t("block")} {block.blockNumber}: {block.reason}
          </li>
        ))}
      </ul>
    </Notice>
  );
}

function Blocks() {
  const [before, setBefore] = useState<number | null>(null);
  const [open, setOpen] = useState<number | null>(null);
  const path = `/api/oqt/ledger/blocks?limit=${PAGE}${before === null ? "" : `&before=${before}`}`;
  const page = useLoaded((signal) => get<LedgerBlocks>(path, signal), before === null ? 30 : null, path);
  const found = page.data?.blocks ?? [];
  const last = found[found.length - 1];
  return (
    <Card
      title={t("transitions")}
      class="wide"
      aside={
        <span class="buttons">
          <button type="button" class="small" disabled={before === null} onClick={() => setBefore(null)}>
            {t("newerBlocks")}
          </button>
          <button
            type="button"
            class="small"
            disabled={!last || last.blockNumber === 0}
            onClick={() => last && setBefore(last.blockNumber)}
          >
            {t("older")}
          </button>
        </span>
      }
    >
      {page.error && <Notice tone="warn">{page.error.message}</Notice>}
      {found.length > 0 && (
        <Scroll class="scroll" name={t("transitions")}>
          <table class="stacks">
            <thead>
              <tr>
                <th scope="col" class="right">
                  {t("block")}
                </th>
                <th scope="col">{t("when")}</th>
                <th scope="col">{t("what")}</th>
                <th scope="col">{t("version")}</th>
                <th scope="col">{t("who")}</th>
                <th scope="col">{t("hash")}</th>
              </tr>
            </thead>
            <tbody>
              {found.map((block) => (
                <Fragment key={block.blockNumber}>
                  <BlockLine
                    block={block}
                    open={open === block.blockNumber}
                    onOpen={() => setOpen(open === block.blockNumber ? null : block.blockNumber)}
                  />
                  {open === block.blockNumber && <BlockMore block={block} />}
                </Fragment>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Card>
  );
}

function BlockLine(props: { block: LedgerBlock; open: boolean; onOpen: () => void }) {
  const { block } = props;
  const line = told(block);
  return (
    <tr>
      <th scope="row" class="right">
        <button
          type="button"
          class="quiet small number"
          aria-expanded={props.open}
          aria-label={t("showBlock", { number: block.blockNumber })}
          onClick={props.onOpen}
        >
          {number(block.blockNumber)}
        </button>
      </th>
      <td class="nowrap" data-label={t("when")}>
        {moment(block.timestamp)}
      </td>
      <td data-label={t("what")}>
        <Badge tone={TONES[line.kind] ?? "plain"}>{line.kind}</Badge> <span class="note">{line.what}</span>
      </td>
      <td data-label={t("version")}>{line.dna && <Short dna={line.dna} />}</td>
      <td data-label={t("who")}>
        {line.who && (
          <span title={line.verified ? t("actorVerified") : t("actorUnverified")}>
            {line.who}
            {!line.verified && <span class="faint"> ({t("actorUnverified")})</span>}
          </span>
        )}
      </td>
      <td data-label={t("hash")}>
        <code translate={false} title={block.hash}>
          {block.hash.slice(0, 12)}
        </code>
      </td>
    </tr>
  );
}

const TONES: Record<string, "good" | "bad" | "warn" | "info"> = {
  promote: "good",
  certify: "good",
  rollback: "warn",
  reject: "warn",
  quarantine: "bad",
  reset: "bad",
  train: "info",
  evaluate: "info",
};

function BlockMore({ block }: { block: LedgerBlock }) {
  return (
    <tr class="more">
      <td colSpan={6}>
        <dl class="facts">
          <Fact name={t("previousHash")} wide>
            <code translate={false}>{block.previousHash}</code>
          </Fact>
          <Fact name={t("hash")} wide>
            <code translate={false}>{block.hash}</code>
          </Fact>
        </dl>
        <pre tabIndex={0}>
          <code translate={false}>{JSON.stringify(block.data, null, 2)}</code>
        </pre>
      </td>
    </tr>
  );
}

function Questions() {
  const found = useLoaded((signal) => get<Queries>("/api/oqt/queries?limit=20", signal), 30);
  const queries = found.data?.queries ?? [];
  return (
    <Card title={t("questions")} class="wide">
      {found.error && <Notice tone="warn">{found.error.message}</Notice>}
      {found.data && queries.length === 0 && <p class="faint">{t("noQuestions")}</p>}
      {queries.length > 0 && (
        <ul class="queries">
          {queries.map((query) => (
            <li key={query.id}>
              <p class="asked">{query.question}</p>
              <p class="said">{query.response}</p>
              <p class="note">
                <When at={timeOf(query.createdAt)} />
                {typeof query.version === "string" && (
                  <>
                    {" · "}
                    {t("answeredBy")} <DnaName dna={query.version} />
                  </>
                )}
                {typeof query.confidence === "number" && (
                  <>
                    {" · "}
                    {t("confidence")} <Value text={percent(query.confidence)} />
                  </>
                )}
              </p>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
