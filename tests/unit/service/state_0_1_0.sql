BEGIN TRANSACTION;
CREATE TABLE application_versions (
    version_id TEXT NOT NULL PRIMARY KEY,
    version_name TEXT NOT NULL UNIQUE,
    version_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL);
INSERT INTO "application_versions" VALUES('5b153047-b6d4-4d01-b936-04542bb642d1','1',1795646553000,1795646553000,'mask2seg');
CREATE TABLE dbos_migrations (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO "dbos_migrations" VALUES(125);
CREATE TABLE mask2seg_cursor (
	name TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "mask2seg_cursor" VALUES('changes',40);
CREATE TABLE mask2seg_seen (
	series_key TEXT NOT NULL, 
	series_instance_uid TEXT NOT NULL, 
	study_instance_uid TEXT NOT NULL, 
	version TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	job_id TEXT NOT NULL, 
	study_version TEXT NOT NULL, 
	PRIMARY KEY (series_key)
);
INSERT INTO "mask2seg_seen" VALUES('6b3e0267-5ade58b7-89ade114-7c1b7d2a-b172dd9e','1.2.826.0.1.3680043.8.498.48212940362375673294409448191438727856','1.2.826.0.1.3680043.8.498.72415866386481390655788196695141646325','7feebabecefed2c08b3a8da1b4251349','passed_over','not_a_mask','','');
INSERT INTO "mask2seg_seen" VALUES('b944aa6e-13ae4b57-056d42c9-1cb8570a-898311f6','1.2.826.0.1.3680043.8.498.96068521379307393871262882193438975139','1.2.826.0.1.3680043.8.498.11018919034406210466233604628988693483','8d427e9296999d5234efdbe3beefd1f2','passed_over','not_a_mask','','');
INSERT INTO "mask2seg_seen" VALUES('a9ecdb4c-05fe356e-563c3f39-44b0a2ce-f50c2ea5','1.2.826.0.1.3680043.8.498.81290123192223453110259512603922701154','1.2.826.0.1.3680043.8.498.11018919034406210466233604628988693483','772bb0061117253b7aec45d61aa9f4e3','converted','','736ed7e6ae8f7a3b665da3e3','44c527fe1fc37466');
INSERT INTO "mask2seg_seen" VALUES('beffa611-1d658312-35e042bc-be2c1322-9998d05b','2.25.304401753300270734641105943801724510897','1.2.826.0.1.3680043.8.498.11018919034406210466233604628988693483','41d665c0e6881492c95c56db6dd195e6','passed_over','modality_seg','','');
INSERT INTO "mask2seg_seen" VALUES('483c8632-41723bae-32d2d1aa-14c4d539-a22e62f3','1.2.826.0.1.3680043.8.498.54817710485818118924875062164393376058','1.2.826.0.1.3680043.8.498.72415866386481390655788196695141646325','90a6ec685fbc66ca65d16894f88687f1','converted','','edf233a7409db39f833e7660','2f9904a725140015');
INSERT INTO "mask2seg_seen" VALUES('8210b554-c5d44833-771bd5d1-d90e2387-2f92a31e','1.2.826.0.1.3680043.8.498.17802496214577976643967105272951726299','1.2.826.0.1.3680043.8.498.12733517906346205464121910230052781346','b0201599f84ad968109c0f1862d5782b','refused','no_source_in_study','8d9e6151539a96b05cc3ce38','e3b0c44298fc1c14');
INSERT INTO "mask2seg_seen" VALUES('fd9faebb-2536aeee-bcae0cea-97f5bd32-57cce83c','2.25.103691696249807875198030106832555214260','1.2.826.0.1.3680043.8.498.72415866386481390655788196695141646325','3609d4b65a7e78b31cff2295ef06b8bc','passed_over','modality_seg','','');
CREATE TABLE mask2seg_stored (
	orthanc_id TEXT NOT NULL, 
	series_key TEXT NOT NULL, 
	sop_instance_uid TEXT NOT NULL, 
	PRIMARY KEY (orthanc_id)
);
INSERT INTO "mask2seg_stored" VALUES('42af581b-39c80f2f-6b00399a-33af33aa-89b46835','a9ecdb4c-05fe356e-563c3f39-44b0a2ce-f50c2ea5','2.25.20453087128307140783700670453954667204');
INSERT INTO "mask2seg_stored" VALUES('cca0cf45-990a9be6-921acce4-e59184a2-07529eca','483c8632-41723bae-32d2d1aa-14c4d539-a22e62f3','2.25.297374196011391021589973867979870409258');
CREATE TABLE notifications (
    message_uuid TEXT NOT NULL DEFAULT (hex(randomblob(16))) PRIMARY KEY,
    destination_uuid TEXT NOT NULL,
    topic TEXT,
    message TEXT NOT NULL,
    created_at_epoch_ms INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), "serialization" TEXT DEFAULT NULL, "consumed" BOOLEAN NOT NULL DEFAULT FALSE, consumed_by_function_id INTEGER,
    FOREIGN KEY (destination_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE "operation_outputs" (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    function_name TEXT NOT NULL DEFAULT '',
    output TEXT,
    error TEXT,
    child_workflow_id TEXT,
    started_at_epoch_ms INTEGER,
    completed_at_epoch_ms INTEGER,
    serialization TEXT,
    application_name TEXT DEFAULT NULL,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    PRIMARY KEY (workflow_uuid, function_id)
);
CREATE TABLE queues (
    queue_id TEXT PRIMARY KEY DEFAULT (hex(randomblob(16))),
    name TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    worker_concurrency INTEGER,
    rate_limit_max INTEGER,
    rate_limit_period_sec REAL,
    priority_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    partition_queue BOOLEAN NOT NULL DEFAULT FALSE,
    polling_interval_sec REAL NOT NULL DEFAULT 1.0,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL, "partition_concurrency" INTEGER DEFAULT NULL, "partition_worker_concurrency" INTEGER DEFAULT NULL, "partition_rate_limit_max" INTEGER DEFAULT NULL, "partition_rate_limit_period_sec" REAL DEFAULT NULL);
INSERT INTO "queues" VALUES('40D73A206C956C1A1DCFE419A93827ED','masks',NULL,1,NULL,NULL,1,0,0.2,1795646553000,1795646553257,'mask2seg',NULL,NULL,NULL,NULL);
CREATE TABLE streams (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    "offset" INTEGER NOT NULL, function_id INTEGER NOT NULL DEFAULT 0, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key, "offset"),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events_history (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, function_id, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid)
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_input (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    inputs TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_input" VALUES('736ed7e6ae8f7a3b665da3e3','{"namedArgs":{},"positionalArgs":[{"series_key":"a9ecdb4c-05fe356e-563c3f39-44b0a2ce-f50c2ea5","series_instance_uid":"1.2.826.0.1.3680043.8.498.81290123192223453110259512603922701154","study_instance_uid":"1.2.826.0.1.3680043.8.498.11018919034406210466233604628988693483","version":"772bb0061117253b7aec45d61aa9f4e3","rested":false,"origin":"watcher","study_version":"","job_id":"","destination":"","instance_key":"","named_as_mask":false},{}]}',1795646554000);
INSERT INTO "workflow_input" VALUES('edf233a7409db39f833e7660','{"namedArgs":{},"positionalArgs":[{"series_key":"483c8632-41723bae-32d2d1aa-14c4d539-a22e62f3","series_instance_uid":"1.2.826.0.1.3680043.8.498.54817710485818118924875062164393376058","study_instance_uid":"1.2.826.0.1.3680043.8.498.72415866386481390655788196695141646325","version":"90a6ec685fbc66ca65d16894f88687f1","rested":true,"origin":"watcher","study_version":"","job_id":"","destination":"","instance_key":"","named_as_mask":false},{}]}',1795646555000);
INSERT INTO "workflow_input" VALUES('8d9e6151539a96b05cc3ce38','{"namedArgs":{},"positionalArgs":[{"series_key":"8210b554-c5d44833-771bd5d1-d90e2387-2f92a31e","series_instance_uid":"1.2.826.0.1.3680043.8.498.17802496214577976643967105272951726299","study_instance_uid":"1.2.826.0.1.3680043.8.498.12733517906346205464121910230052781346","version":"b0201599f84ad968109c0f1862d5782b","rested":true,"origin":"watcher","study_version":"","job_id":"","destination":"","instance_key":"","named_as_mask":false},{}]}',1795646555000);
INSERT INTO "workflow_input" VALUES('104b43efe29872fef5368c31','{"namedArgs":{},"positionalArgs":[{"series_key":"a9ecdb4c-05fe356e-563c3f39-44b0a2ce-f50c2ea5","series_instance_uid":"1.2.826.0.1.3680043.8.498.81290123192223453110259512603922701154","study_instance_uid":"1.2.826.0.1.3680043.8.498.11018919034406210466233604628988693483","version":"772bb0061117253b7aec45d61aa9f4e3","rested":true,"origin":"backfill","study_version":"later","job_id":"","destination":"","instance_key":"","named_as_mask":false},{}]}',1795646567000);
CREATE TABLE workflow_output (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    output TEXT,
    error TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_output" VALUES('736ed7e6ae8f7a3b665da3e3','{"outcome":"converted","reason":null,"detail":"1 segment on 6 source slices","hint":"","source_series_uid":"1.2.826.0.1.3680043.8.498.96068521379307393871262882193438975139","mask_series_uids":["1.2.826.0.1.3680043.8.498.81290123192223453110259512603922701154"],"mask_sha256":["feac3b3e88de43aae844d3604802dfa1ce38b475cc9bd1b311670b695499b307"],"candidates":[{"series_uid":"1.2.826.0.1.3680043.8.498.96068521379307393871262882193438975139","series_description":"CT thorax","series_number":"3","modality":"CT","score":0.95,"evidence":["6 of 6 mask planes coincide with source planes within 0.05 mm (+0.60)","same matrix 24 x 20 (+0.05)","same number of planes (6) (+0.05)","same frame of reference (+0.10)","6 of 6 SOPInstanceUIDs are those of the source (+0.15)"]}],"evidence":["2 distinct values (+0.50)","0 fills 97% of the pixels (+0.10)","SeriesDescription holds the word ''mask'' (+0.30)","6 of 6 SOPInstanceUIDs shared with an image series of the study (+0.30)","6 planes on those of an image series, pixel on pixel (+0.15)","stored values: 0, 1 (2 values, from 0 to 1)","0 is background: the lower of two values","BINARY: right in all declared viewers","114 voxels compared with the mask, voxel by voxel: all equal"],"segments":[{"number":1,"label":"tumour","voxels":114,"volume_mm3":159.6,"type_code":"SCT:108369006"}],"outputs":[{"kind":"SEG","sop_instance_uid":"2.25.20453087128307140783700670453954667204","series_uid":"2.25.304401753300270734641105943801724510897","orthanc_id":"42af581b-39c80f2f-6b00399a-33af33aa-89b46835","sha256":"611d32e91a7ff1ff11cc8c4f2a2a77ffd1a6cc9cbb8f98cf43dcc46670336c8e"}],"seconds":{"match":0.0598,"read":0.0189,"convert":0.3167,"store":0.001}}',NULL,1795646555000);
INSERT INTO "workflow_output" VALUES('edf233a7409db39f833e7660','{"outcome":"converted","reason":null,"detail":"1 segment on 6 source slices; 2 slices without a mask slice are empty","hint":"","source_series_uid":"1.2.826.0.1.3680043.8.498.48212940362375673294409448191438727856","mask_series_uids":["1.2.826.0.1.3680043.8.498.54817710485818118924875062164393376058"],"mask_sha256":["adc83712eccc341ddb928a53cbbd2e883ff0350c3b6eebaeca7d0bd1ba35aeeb"],"candidates":[{"series_uid":"1.2.826.0.1.3680043.8.498.48212940362375673294409448191438727856","series_description":"CT thorax","series_number":"3","modality":"CT","score":0.9,"evidence":["4 of 4 mask planes coincide with source planes within 0.05 mm (+0.60)","same matrix 24 x 20 (+0.05)","4 planes, source 6 (+0.00)","same frame of reference (+0.10)","4 of 4 SOPInstanceUIDs are those of the source (+0.15)"]}],"evidence":["2 distinct values (+0.50)","0 fills 95% of the pixels (+0.10)","SeriesDescription holds the word ''mask'' (+0.30)","4 of 4 SOPInstanceUIDs shared with an image series of the study (+0.30)","4 planes on those of an image series, pixel on pixel (+0.15)","stored values: 0, 1 (2 values, from 0 to 1)","0 is background: the lower of two values","BINARY: right in all declared viewers","100 voxels compared with the mask, voxel by voxel: all equal"],"segments":[{"number":1,"label":"tumour","voxels":100,"volume_mm3":140.0,"type_code":"SCT:108369006"}],"outputs":[{"kind":"SEG","sop_instance_uid":"2.25.297374196011391021589973867979870409258","series_uid":"2.25.103691696249807875198030106832555214260","orthanc_id":"cca0cf45-990a9be6-921acce4-e59184a2-07529eca","sha256":"b22945b8bb19fa5b5d11bc57e1a58a97714f4a7f693f6ff5fbc9f714a947fc65"}],"seconds":{"match":0.0877,"read":0.0134,"convert":0.079,"store":0.0008}}',NULL,1795646555000);
INSERT INTO "workflow_output" VALUES('8d9e6151539a96b05cc3ce38','{"outcome":"refused","reason":"no_source_in_study","detail":"The study holds no image series that this mask could have been drawn on.","hint":"Send the source images into the same study (same StudyInstanceUID), or name the source: mask2seg convert MASK --source SERIES (or --source DIR, for a folder of files).","source_series_uid":null,"mask_series_uids":["1.2.826.0.1.3680043.8.498.17802496214577976643967105272951726299"],"mask_sha256":[],"candidates":[],"evidence":["0 other series looked at, none that can be the source","2 distinct values (+0.50)","0 fills 97% of the pixels (+0.10)","SeriesDescription holds the word ''mask'' (+0.30)"],"segments":[],"outputs":[],"seconds":{"match":0.0375}}',NULL,1795646556000);
CREATE TABLE workflow_schedules (
    schedule_id TEXT PRIMARY KEY,
    schedule_name TEXT NOT NULL UNIQUE,
    workflow_name TEXT NOT NULL,
    workflow_class_name TEXT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE',
    context TEXT NOT NULL
, "last_fired_at" TEXT DEFAULT NULL, "automatic_backfill" BOOLEAN NOT NULL DEFAULT FALSE, "cron_timezone" TEXT DEFAULT NULL, "queue_name" TEXT DEFAULT NULL, "application_name" TEXT DEFAULT NULL);
CREATE TABLE workflow_status (
    workflow_uuid TEXT PRIMARY KEY,
    status TEXT,
    name TEXT,
    authenticated_user TEXT,
    assumed_role TEXT,
    authenticated_roles TEXT,
    request TEXT,
    output TEXT,
    error TEXT,
    executor_id TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    application_version TEXT,
    application_id TEXT,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    recovery_attempts INTEGER DEFAULT 0,
    queue_name TEXT,
    workflow_timeout_ms INTEGER,
    workflow_deadline_epoch_ms INTEGER,
    inputs TEXT,
    started_at_epoch_ms INTEGER,
    deduplication_id TEXT,
    priority INTEGER NOT NULL DEFAULT 0
, queue_partition_key TEXT, forked_from TEXT, "owner_xid" TEXT DEFAULT NULL, "parent_workflow_id" TEXT DEFAULT NULL, "serialization" TEXT DEFAULT NULL, "delay_until_epoch_ms" BIGINT DEFAULT NULL, "was_forked_from" BOOLEAN NOT NULL DEFAULT FALSE, "rate_limited" BOOLEAN NOT NULL DEFAULT FALSE, "completed_at" BIGINT, "attributes" TEXT, "schedule_name" TEXT, "debounce_deadline_epoch_ms" BIGINT DEFAULT NULL, "is_debounced" BOOLEAN NOT NULL DEFAULT FALSE, "application_name" TEXT DEFAULT NULL, "creator_xid" TEXT DEFAULT NULL);
INSERT INTO "workflow_status" VALUES('736ed7e6ae8f7a3b665da3e3','SUCCESS','convert',NULL,NULL,NULL,NULL,NULL,NULL,'embedded',1795646554000,1795646555000,'1',NULL,NULL,NULL,1,'masks',NULL,NULL,NULL,1795646554000,NULL,10,NULL,NULL,NULL,NULL,'portable_json',NULL,0,0,1795646555000,'null',NULL,NULL,0,'mask2seg','996ac80a-3607-4ce4-8f65-3c7f33de6dd7');
INSERT INTO "workflow_status" VALUES('edf233a7409db39f833e7660','SUCCESS','convert',NULL,NULL,NULL,NULL,NULL,NULL,'embedded',1795646555000,1795646555000,'1',NULL,NULL,NULL,1,'masks',NULL,NULL,NULL,1795646555000,NULL,10,NULL,NULL,NULL,NULL,'portable_json',NULL,0,0,1795646555000,'null',NULL,NULL,0,'mask2seg','7ce9c3cb-0809-48ed-97b9-ed1aec1c48d0');
INSERT INTO "workflow_status" VALUES('8d9e6151539a96b05cc3ce38','SUCCESS','convert',NULL,NULL,NULL,NULL,NULL,NULL,'embedded',1795646555000,1795646556000,'1',NULL,NULL,NULL,1,'masks',NULL,NULL,NULL,1795646556000,NULL,10,NULL,NULL,NULL,NULL,'portable_json',NULL,0,0,1795646556000,'null',NULL,NULL,0,'mask2seg','d11b84ac-4a86-4c0e-b6d2-4aa6670bf354');
INSERT INTO "workflow_status" VALUES('104b43efe29872fef5368c31','DELAYED','convert',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795646567000,1795646567000,'1',NULL,NULL,NULL,0,'masks',NULL,NULL,NULL,NULL,NULL,20,NULL,NULL,NULL,NULL,'portable_json',1827182567198,0,0,NULL,'null',NULL,NULL,0,'mask2seg','81ba587e-477c-4de7-a678-2e473a3c6990');
CREATE INDEX ix_mask2seg_seen_study_instance_uid ON mask2seg_seen (study_instance_uid);
CREATE INDEX ix_mask2seg_seen_verdict ON mask2seg_seen (verdict);
CREATE INDEX ix_mask2seg_stored_series_key ON mask2seg_stored (series_key);
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE INDEX "idx_workflow_status_delayed" ON "workflow_status" ("delay_until_epoch_ms") WHERE status = 'DELAYED';
CREATE INDEX "idx_workflow_status_forked_from" ON "workflow_status" ("forked_from") WHERE "forked_from" IS NOT NULL;
CREATE INDEX "idx_workflow_status_parent_workflow_id" ON "workflow_status" ("parent_workflow_id") WHERE "parent_workflow_id" IS NOT NULL;
CREATE UNIQUE INDEX "uq_workflow_status_dedup_id" ON "workflow_status" ("queue_name", "deduplication_id") WHERE "deduplication_id" IS NOT NULL;
CREATE INDEX "idx_workflow_status_pending" ON "workflow_status" ("created_at") WHERE "status" = 'PENDING';
CREATE INDEX "idx_workflow_status_failed" ON "workflow_status" ("status", "created_at") WHERE "status" IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX "idx_workflow_status_rate_limited" ON "workflow_status" ("queue_name", "started_at_epoch_ms") WHERE "rate_limited" = TRUE;
CREATE INDEX "idx_workflow_status_completed_at" ON "workflow_status" ("completed_at") WHERE "completed_at" IS NOT NULL;
CREATE INDEX "idx_workflow_status_started_at" ON "workflow_status" ("started_at_epoch_ms") WHERE "started_at_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_workflow_status_schedule_name" ON "workflow_status" ("schedule_name") WHERE "schedule_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_owner_version"
    ON application_versions ("application_name", "version_name")
    WHERE "application_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_unclaimed_version"
    ON application_versions ("version_name")
    WHERE "application_name" IS NULL;
CREATE INDEX idx_workflow_input_retention
    ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention
    ON workflow_output (retention_timestamp);
CREATE INDEX idx_operation_outputs_retention
    ON operation_outputs (retention_timestamp);
CREATE INDEX "idx_workflow_status_in_flight_v2" ON "workflow_status" ("queue_name", "status", "priority", "created_at", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING');
CREATE INDEX "idx_workflow_status_partition_dequeue_v3" ON "workflow_status" ("queue_name", "status", "queue_partition_key", "priority", "created_at", "workflow_uuid", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING') AND "queue_partition_key" IS NOT NULL;
CREATE INDEX "idx_operation_outputs_completed_at_function_name_v2" ON "operation_outputs" ("completed_at_epoch_ms", "function_name", "application_name");
CREATE INDEX "idx_workflow_status_deadline" ON "workflow_status" ("workflow_deadline_epoch_ms") WHERE "status" IN ('ENQUEUED', 'PENDING', 'DELAYED') AND "workflow_deadline_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_application_versions_timestamp" ON "application_versions" ("version_timestamp" DESC);
CREATE INDEX "idx_application_versions_owner_timestamp" ON "application_versions" ("application_name", "version_timestamp" DESC);
COMMIT;