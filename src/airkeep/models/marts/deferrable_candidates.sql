-- Which tasks hold a slot only to wait, and could give it back?
-- grain: one task of a sensor or of an operator that has a deferrable mode, more than half of whose tries hold a slot for a minute or more
-- key: environment, dag_id, task_id
-- units: tries a count; slot_h slots times hours, those of a try of more than 1,000 hours too; p50_s seconds that a try held its slot, nearest rank; why in words
-- leaves out: tries without an end; sensors that were rescheduled, and what was seen deferred or is named …Async: they give the slot back; operators of one's own that wait, for their names do not say so. A success does not tell that it was deferred: whether deferrable is on already is to be looked up in the DAG
WITH waiting AS (
  SELECT
    environment, dag_id, task_id, operator, pool_slots, duration_s AS held_s
  FROM attempts
  WHERE duration_s > 0 AND (
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
),
giving_back AS (
  SELECT environment, dag_id, task_id FROM tasks WHERE was_deferred
  UNION
  SELECT environment, dag_id, task_id FROM reschedules
),
-- Few wait for long: to rank the tries of these alone costs least.
counted AS (
  SELECT
    w.environment,
    w.dag_id,
    w.task_id,
    max(w.operator) AS operator,
    count(*) AS tries,
    sum(w.held_s * w.pool_slots) / 3600.0 AS slot_h
  FROM waiting AS w
  LEFT JOIN giving_back AS g
    ON g.environment = w.environment AND g.dag_id = w.dag_id AND g.task_id = w.task_id
  WHERE g.environment IS NULL
  GROUP BY w.environment, w.dag_id, w.task_id
  HAVING sum(CASE WHEN w.held_s < 60 THEN 1 ELSE 0 END) < 0.50 * count(*)
),
ranked AS (
  SELECT
    c.*,
    w.held_s,
    row_number() OVER (PARTITION BY c.environment, c.dag_id, c.task_id ORDER BY w.held_s) AS place
  FROM counted AS c
  INNER JOIN waiting AS w
    ON w.environment = c.environment AND w.dag_id = c.dag_id AND w.task_id = c.task_id
)
SELECT
  environment,
  dag_id,
  task_id,
  operator,
  tries,
  slot_h,
  min(held_s) AS p50_s,
  CASE
    WHEN lower(operator) LIKE '@task%' THEN 'a sensor that pokes holds its slot: mode=reschedule'
    WHEN lower(operator) LIKE '%sensor%' THEN
      'a sensor that pokes holds its slot: deferrable=True where it has that, else mode=reschedule'
    ELSE 'waits for work elsewhere: deferrable=True, if it is not on yet'
  END AS why
FROM ranked
WHERE place >= 0.50 * tries
GROUP BY environment, dag_id, task_id, operator, tries, slot_h
