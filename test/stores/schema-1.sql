-- What kill -9 left of two sessions, as the last build before the table `spendings` wrote it; the boot is made up.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('boot','00000000-0000-0000-0000-000000000000');
INSERT INTO meta VALUES('clean','no');
CREATE TABLE agents (hash TEXT PRIMARY KEY, json TEXT NOT NULL);
INSERT INTO agents VALUES('57cd15302b071a7e10bd52ff4715b047b0c4cc7794ba025c3f2b9477f5355bba','{"hash":"57cd15302b071a7e10bd52ff4715b047b0c4cc7794ba025c3f2b9477f5355bba","name":"Alice","description":"A general assistant for everyday questions, writing and explanations","tools":["current_time"],"persona":"You are Alice, a general assistant. People come to you with everyday questions, texts that they want written or improved, things that they want explained, and decisions that they want to think through.\n\nAnswer the question first, in a sentence or two, and then give the reasons or the details if they help. Match the length of your answer to the question: a short question deserves a short answer. Write plain prose. Use a list when there really are several items of one kind, and a code block for code and commands. Reply in the language in which you are addressed.\n\nBe honest about what you know. If you are not sure, say so and say what would settle it. Do not invent facts, quotations, sources or links. You cannot browse the web or open files, so when something may have changed since you were trained, say that too. Whenever an answer depends on the present date or time, call `current_time` instead of guessing; pass the person''s time zone if you know it.\n\nIf a request can be read in two ways that lead to different answers, ask one short question. Otherwise pick the likelier reading, say which one you chose, and go ahead.\n\nKeep to what was said earlier in the conversation. If an earlier answer of yours was cut off, carry on from where it stopped when asked, without repeating it. If you made a mistake, name it, correct it, and go on. Be warm, but skip the flattery."}');
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  subject TEXT,
  agent_id TEXT,
  agent_hash TEXT,
  epoch TEXT,
  seq INTEGER NOT NULL DEFAULT 0,
  sealed_seq INTEGER NOT NULL DEFAULT 0,
  journal_from INTEGER NOT NULL DEFAULT 0,
  updated_at TEXT,
  title TEXT,
  turn TEXT,
  attached INTEGER NOT NULL DEFAULT 0,
  busy INTEGER NOT NULL DEFAULT 0,
  has_message INTEGER NOT NULL DEFAULT 0,
  idle_since INTEGER NOT NULL DEFAULT 0,
  refused_until INTEGER,
  json TEXT
);
INSERT INTO sessions VALUES('session-that-is-at-rest',NULL,'alice','57cd15302b071a7e10bd52ff4715b047b0c4cc7794ba025c3f2b9477f5355bba','10a8dd35846b',30,30,2,'2026-11-26T18:30:10.217Z','/tool current_time {}',NULL,1,0,1,1795717810217,NULL,'{"owner":{"kind":"key","keyHash":"a0484a6185b324e2f355194f334482fc79194cd805185155ddcf6804fdb9090a"},"createdAt":"2026-11-26T18:30:09.219Z","nextPosition":2,"waiting":[]}');
INSERT INTO sessions VALUES('session-that-was-amid-a-turn',NULL,'alice','57cd15302b071a7e10bd52ff4715b047b0c4cc7794ba025c3f2b9477f5355bba','2b413e8a47ab',5,0,2,'2026-11-26T18:30:10.222Z','/words 500','10941781-dd44-4432-ae6b-42dfb55c50cd',1,1,1,1795717809222,NULL,'{"owner":{"kind":"key","keyHash":"a0484a6185b324e2f355194f334482fc79194cd805185155ddcf6804fdb9090a"},"createdAt":"2026-11-26T18:30:09.222Z","nextPosition":2,"running":{"turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","request":{"kind":"send","id":"m1"},"messageId":"m1","agent":"alice","startSeq":3,"position":0},"waiting":[{"turnId":"6207064a-35a8-4c6e-a353-773c48476d5a","request":{"kind":"send","id":"m2"},"message":{"id":"m2","role":"user","metadata":{"createdAt":"2026-11-26T18:30:10.222Z"},"parts":[{"type":"text","text":"/echo At last."}]}}]}');
CREATE TABLE requests (
  session TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  turn TEXT NOT NULL,
  digest TEXT NOT NULL,
  message TEXT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (session, kind, id)
) WITHOUT ROWID;
INSERT INTO requests VALUES('session-that-is-at-rest','send','m1','8e7f0073-326f-436b-a861-6a473ae0ab26','19t4Ls5o_sFu9gbuQBpt9JbkQVRGTL4SglZ_TClfbNY','m1','completed');
INSERT INTO requests VALUES('session-that-was-amid-a-turn','send','m1','10941781-dd44-4432-ae6b-42dfb55c50cd','w9qWpXmmdHXZV6mK-dRNtszTxT7HWwx763iHL0-VLR4','m1','queued');
INSERT INTO requests VALUES('session-that-was-amid-a-turn','send','m2','6207064a-35a8-4c6e-a353-773c48476d5a','joNl18bRIJdZ5zZDMqwMRfHNiN5Q28onwwaRaAm-Rbo','m2','queued');
CREATE TABLE messages (
  session TEXT NOT NULL,
  position INTEGER NOT NULL,
  id TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  json TEXT NOT NULL,
  UNIQUE (session, position),
  UNIQUE (session, id)
);
INSERT INTO messages VALUES('session-that-is-at-rest',0,'m1',134,'{"id":"m1","role":"user","metadata":{"createdAt":"2026-11-26T18:30:09.718Z"},"parts":[{"type":"text","text":"/tool current_time {}"}]}');
INSERT INTO messages VALUES('session-that-is-at-rest',1,'54de5601-4a7c-4596-839c-dd88569a815c',781,'{"id":"54de5601-4a7c-4596-839c-dd88569a815c","role":"assistant","parts":[{"type":"step-start"},{"type":"text","text":"I call the tool current_time.","state":"done"},{"type":"tool-current_time","toolCallId":"call-1","state":"output-available","input":{},"output":{"iso":"2026-11-26T18:30:09.863Z","timezone":"UTC","local":"Thursday, 26 November 2026 at 18:30:09 UTC"}},{"type":"step-start"},{"type":"text","text":"The tool current_time answered: {\"iso\":\"2026-11-26T18:30:09.863Z\",\"timezone\":\"UTC\",\"local\":\"Thursday, 26 November 2026 at 18:30:09 UTC\"}","state":"done"}],"metadata":{"turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","agent":"alice","createdAt":"2026-11-26T18:30:09.725Z","status":"completed","usage":{"inputTokens":896,"outputTokens":42,"estimated":false}}}');
INSERT INTO messages VALUES('session-that-was-amid-a-turn',0,'m1',123,'{"id":"m1","role":"user","metadata":{"createdAt":"2026-11-26T18:30:10.220Z"},"parts":[{"type":"text","text":"/words 500"}]}');
CREATE TABLE segments (
  session TEXT NOT NULL,
  from_seq INTEGER NOT NULL,
  to_seq INTEGER NOT NULL,
  sealed_at INTEGER,
  events TEXT NOT NULL
);
INSERT INTO segments VALUES('session-that-is-at-rest',0,30,1795717810217,'[{"type":"message","message":{"id":"m1","role":"user","metadata":{"createdAt":"2026-11-26T18:30:09.718Z"},"parts":[{"type":"text","text":"/tool current_time {}"}]},"seq":1},{"type":"turn","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","messageId":"m1","state":"queued","seq":2},{"type":"turn","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","messageId":"m1","state":"running","agent":"alice","seq":3},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"start","messageId":"54de5601-4a7c-4596-839c-dd88569a815c","messageMetadata":{"turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","agent":"alice","createdAt":"2026-11-26T18:30:09.725Z"}},"seq":4},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"start-step"},"seq":5},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-start","id":"text-1"},"seq":6},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-1","delta":"I "},"seq":7},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-1","delta":"call "},"seq":8},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-1","delta":"the "},"seq":9},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-1","delta":"tool current_time."},"seq":10},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-end","id":"text-1"},"seq":11},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"tool-input-start","toolCallId":"call-1","toolName":"current_time"},"seq":12},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"tool-input-delta","toolCallId":"call-1","inputTextDelta":"{}"},"seq":13},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"tool-input-available","toolCallId":"call-1","toolName":"current_time","input":{}},"seq":14},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"tool-output-available","toolCallId":"call-1","output":{"iso":"2026-11-26T18:30:09.863Z","timezone":"UTC","local":"Thursday, 26 November 2026 at 18:30:09 UTC"}},"seq":15},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"finish-step"},"seq":16},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"start-step"},"seq":17},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-start","id":"text-2"},"seq":18},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-2","delta":"The "},"seq":19},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-2","delta":"tool current_time "},"seq":20},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-2","delta":"answered: "},"seq":21},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-2","delta":"{\"iso\":\"2026-11-26T18:30:09.863Z\",\"timezone\":\"UTC\",\"local\":\"Thursday, 26 "},"seq":22},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-2","delta":"November 2026 "},"seq":23},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-2","delta":"at "},"seq":24},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-delta","id":"text-2","delta":"18:30:09 UTC\"}"},"seq":25},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"text-end","id":"text-2"},"seq":26},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"finish-step"},"seq":27},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"message-metadata","messageMetadata":{"turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","agent":"alice","status":"completed","createdAt":"2026-11-26T18:30:09.725Z","usage":{"inputTokens":896,"outputTokens":42,"estimated":false}}},"seq":28},{"type":"chunk","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","chunk":{"type":"finish","finishReason":"stop"},"seq":29},{"type":"turn","turnId":"8e7f0073-326f-436b-a861-6a473ae0ab26","messageId":"m1","agent":"alice","state":"completed","finishReason":"stop","usage":{"inputTokens":896,"outputTokens":42,"estimated":false},"seq":30}]');
CREATE TABLE journal (id INTEGER PRIMARY KEY, entries TEXT NOT NULL);
INSERT INTO journal VALUES(16,'[["session-that-was-amid-a-turn",[{"type":"message","message":{"id":"m1","role":"user","metadata":{"createdAt":"2026-11-26T18:30:10.220Z"},"parts":[{"type":"text","text":"/words 500"}]},"seq":1},{"type":"turn","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","messageId":"m1","state":"queued","seq":2}]]]');
INSERT INTO journal VALUES(17,'[["session-that-was-amid-a-turn",[{"type":"turn","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","messageId":"m1","state":"running","agent":"alice","seq":3}]]]');
INSERT INTO journal VALUES(18,'[["session-that-was-amid-a-turn",[{"type":"message","message":{"id":"m2","role":"user","metadata":{"createdAt":"2026-11-26T18:30:10.222Z"},"parts":[{"type":"text","text":"/echo At last."}]},"seq":4},{"type":"turn","turnId":"6207064a-35a8-4c6e-a353-773c48476d5a","messageId":"m2","state":"queued","seq":5}]]]');
INSERT INTO journal VALUES(19,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"start","messageId":"eb59bbe7-2918-48e6-ae91-555e80b160cc","messageMetadata":{"turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","agent":"alice","createdAt":"2026-11-26T18:30:10.222Z"}},"seq":6},{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"start-step"},"seq":7}]]]');
INSERT INTO journal VALUES(20,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-start","id":"text-1"},"seq":8},{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-delta","id":"text-1","delta":"word-1 "},"seq":9}]]]');
INSERT INTO journal VALUES(21,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-delta","id":"text-1","delta":"word-2 word-3 "},"seq":10}]]]');
INSERT INTO journal VALUES(22,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-delta","id":"text-1","delta":"word-4 "},"seq":11}]]]');
INSERT INTO journal VALUES(23,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-delta","id":"text-1","delta":"word-5 word-6 "},"seq":12}]]]');
INSERT INTO journal VALUES(24,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-delta","id":"text-1","delta":"word-7 "},"seq":13}]]]');
INSERT INTO journal VALUES(25,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-delta","id":"text-1","delta":"word-8 word-9 "},"seq":14}]]]');
INSERT INTO journal VALUES(26,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-delta","id":"text-1","delta":"word-10 word-11 "},"seq":15}]]]');
INSERT INTO journal VALUES(27,'[["session-that-was-amid-a-turn",[{"type":"chunk","turnId":"10941781-dd44-4432-ae6b-42dfb55c50cd","chunk":{"type":"text-delta","id":"text-1","delta":"word-12 "},"seq":16}]]]');
CREATE TABLE purges (session TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX sessions_newest ON sessions (updated_at, id) WHERE refused_until IS NULL;
CREATE INDEX sessions_of_subject ON sessions (subject, updated_at, id) WHERE subject IS NOT NULL;
CREATE INDEX sessions_attached ON sessions (updated_at, id) WHERE attached = 1;
CREATE INDEX sessions_busy ON sessions (updated_at, id) WHERE busy = 1;
CREATE INDEX sessions_idle ON sessions (has_message, idle_since, id)
  WHERE attached = 0 AND busy = 0 AND refused_until IS NULL;
CREATE INDEX sessions_refused ON sessions (refused_until) WHERE refused_until IS NOT NULL;
CREATE INDEX requests_by_turn ON requests (session, turn);
CREATE INDEX segments_of_session ON segments (session, to_seq);
CREATE INDEX segments_sealed ON segments (sealed_at) WHERE sealed_at IS NOT NULL;
PRAGMA application_id = 1297043282;
PRAGMA user_version = 1;
