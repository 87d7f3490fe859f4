/** The shapes that the page reads, from the service's own OpenAPI document (`npm run types`). */
import type { components } from "../../types/schema";

type Schemas = components["schemas"];

export type Overview = Schemas["ModelOverview"];
export type Version = Schemas["VersionRow"];
export type Scores = Schemas["Scored"];
export type Condition = Schemas["ConditionRow"];
export type ServiceStatus = Schemas["StatusAnswer"];
export type Metrics = Schemas["MetricsAnswer"];
export type Certified = Schemas["CertifiedAnswer"];
export type CertifiedModel = Schemas["CertifiedModel"];
export type Run = Schemas["RunRow"];
export type Runs = Schemas["TrainingRuns"];
export type RunMetrics = Schemas["LiveMetrics"];
export type QueryAnswer = Schemas["QueryAnswer"];
export type LedgerStats = Schemas["LedgerStats"];
export type LedgerVerified = Schemas["LedgerVerified"];
export type LedgerBlocks = Schemas["LedgerBlocks"];
export type LedgerBlock = Schemas["LedgerBlock"];
export type Queries = Schemas["QueriesAnswer"];
export type SetCurrent = Schemas["SetCurrentAnswer"];
export type Reset = Schemas["ResetAnswer"];
export type MultiAnswer = Schemas["MultiAnswer"];
export type MultiResponse = Schemas["ModelResponse"];
