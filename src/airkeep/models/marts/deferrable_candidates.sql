-- Which tasks hold a slot only to wait, and could give it back?
-- grain: one task of a sensor or of an operator that has a deferrable mode, whose tries hold a slot for a minute or more, half of them at least
-- key: environment, dag_id, task_id
-- units: tries a count; slot_h slots times hours; p50_s seconds that a try held its slot, nearest rank; why in words
-- leaves out: tries without an end; sensors that were rescheduled, and what was seen deferred or is named …Async: they give the slot back; operators of one's own that wait, for their names do not say so. A success does not tell that it was deferred: whether deferrable is on already is to be looked up in the DAG
WITH waiting AS (
  SELECT
    environment,
    dag_id,
    task_id,
    run_id,
    map_index,
    try_number,
    max(operator) AS operator,
    sum(tries) AS tries,
    sum(held_s) AS held_s,
    sum(held_s * pool_slots) AS slot_s
  FROM slot_use
  WHERE (
    lower(operator) LIKE '%sensor%'
    OR operator IN (
      'AirbyteTriggerSyncOperator', 'AthenaOperator', 'AzureDataFactoryRunPipelineOperator',
      'BatchOperator', 'BeamRunJavaPipelineOperator', 'BeamRunPythonPipelineOperator',
      'BigQueryCheckOperator', 'BigQueryInsertJobOperator', 'BigQueryIntervalCheckOperator',
      'BigQueryValueCheckOperator', 'CloudBuildCreateBuildOperator', 'CloudRunExecuteJobOperator',
      'DatabricksNotebookOperator', 'DatabricksRunNowOperator', 'DatabricksSubmitRunOperator',
      'DataflowStartFlexTemplateOperator', 'DataflowTemplatedJobStartOperator',
      'DataprocCreateBatchOperator', 'DataprocSubmitJobOperator', 'DbtCloudRunJobOperator',
      'EcsRunTaskOperator', 'EksPodOperator', 'EmrAddStepsOperator', 'EmrContainerOperator',
      'EmrCreateJobFlowOperator', 'EmrServerlessStartJobOperator', 'GKEStartJobOperator',
      'GKEStartPodOperator', 'GlueCrawlerOperator', 'GlueJobOperator', 'HttpOperator',
      'KubernetesJobOperator', 'KubernetesPodOperator', 'LivyOperator',
      'RedshiftCreateClusterOperator', 'RedshiftDataOperator', 'SageMakerProcessingOperator',
      'SageMakerTrainingOperator', 'SageMakerTransformOperator', 'SageMakerTuningOperator',
      'SimpleHttpOperator', 'SnowflakeSqlApiOperator', 'SparkKubernetesOperator',
      'StepFunctionStartExecutionOperator', 'TriggerDagRunOperator'
    )
  )
  AND operator NOT LIKE '%Async'
  GROUP BY environment, dag_id, task_id, run_id, map_index, try_number
),
ranked AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY environment, dag_id, task_id ORDER BY held_s) AS place,
    count(*) OVER (PARTITION BY environment, dag_id, task_id) AS many
  FROM waiting
),
counted AS (
  SELECT
    environment,
    dag_id,
    task_id,
    max(operator) AS operator,
    sum(tries) AS tries,
    sum(slot_s) / 3600.0 AS slot_h,
    min(CASE WHEN place >= 0.50 * many THEN held_s END) AS p50_s
  FROM ranked
  GROUP BY environment, dag_id, task_id
  HAVING sum(tries) > 0
),
giving_back AS (
  SELECT environment, dag_id, task_id FROM tasks WHERE was_deferred
  UNION
  SELECT environment, dag_id, task_id FROM reschedules
)
SELECT
  c.environment,
  c.dag_id,
  c.task_id,
  c.operator,
  c.tries,
  c.slot_h,
  c.p50_s,
  CASE
    WHEN lower(c.operator) LIKE '@task%' THEN 'a sensor that pokes holds its slot: mode=reschedule'
    WHEN lower(c.operator) LIKE '%sensor%' THEN
      'a sensor that pokes holds its slot: deferrable=True where it has that, else mode=reschedule'
    ELSE 'waits for work elsewhere: deferrable=True, if it is not on yet'
  END AS why
FROM counted AS c
LEFT JOIN giving_back AS d
  ON d.environment = c.environment AND d.dag_id = c.dag_id AND d.task_id = c.task_id
WHERE c.p50_s >= 60 AND d.environment IS NULL
