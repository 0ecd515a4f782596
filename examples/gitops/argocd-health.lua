-- Health of a ConfidentialSummarizer for Argo CD; docs/how-to/gitops.md says where it goes.
-- Argo CD gives the object as `obj` and expects a table with status and message.

local function health(status, message)
  return { status = status, message = message }
end

local metadata, status = obj.metadata, obj.status or {}

if metadata.deletionTimestamp ~= nil then
  return health("Progressing", "its container groups are going away")
end

local annotations = metadata.annotations or {}
if annotations["confidential.summarizer.dev/pause"] == "true" then
  return health("Suspended", "paused by the annotation confidential.summarizer.dev/pause")
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is_true(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

if status.observedGeneration ~= metadata.generation then
  return health("Progressing", "the operator has not looked at this generation yet")
end

if is_true("Stalled") then
  return health("Degraded", conditions.Stalled.message)
end

if is_true("Ready") then
  return health("Healthy", conditions.Ready.message)
end

-- Neither time nor a new commit helps: somebody outside of the cluster has to decide.
if conditions.Ready ~= nil and conditions.Ready.reason == "AwaitingApproval" then
  return health("Suspended", conditions.Ready.message)
end

if is_true("Reconciling") then
  return health("Progressing", conditions.Reconciling.message)
end

if conditions.Ready ~= nil then
  return health("Degraded", conditions.Ready.message)
end

return health("Progressing", "the operator has not said anything yet")
