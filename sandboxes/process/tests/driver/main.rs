//! Functions in real sandboxes: what they see, and how the ends that they come to are told.

mod house;

use std::time::Duration;

use dormouse_sandbox::{Driver as _, Ending, StartError};
use house::{House, LIMIT, invocation, invoke, respond};

#[tokio::test(flavor = "multi_thread")]
async fn python_and_node_answer_and_say_what_they_are() {
    let house = House::open().await;
    let python = house.spec("python3.11", "app.handler", &[("app.py", "def handler(e, c):\n    return {'got': e}\n")]);
    let node = house.spec("nodejs20.x", "app.handler", &[("app.js", "exports.handler = async (e) => ({ got: e })")]);
    for (spec, label) in [(python, "python:3."), (node, "nodejs:")] {
        let (mut instance, report) =
            house.start(spec).await.unwrap_or_else(|e| panic!("{label} {e} {:?}", house.lines.printed()));
        assert!(report.runtime_version.starts_with(label), "{}", report.runtime_version);
        for n in 0..3 {
            assert_eq!(respond(&mut instance, &n.to_string()).await, serde_json::json!({ "got": n }));
        }
        assert!(instance.usage().cpu > Duration::ZERO);
        instance.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_environment_is_there_and_reserved_names_are_the_platforms() {
    let house = House::open().await;
    let code = "import os, sys\ndef handler(e, c):\n    return {'env': dict(os.environ), 'path': sys.path, 'cwd': os.getcwd()}\n";
    let mut spec = house.spec("python3.11", "app.handler", &[("app.py", code)]);
    for (name, value) in [("MINE", "1"), ("AWS_REGION", "mars"), ("TZ", "Europe/Berlin"), ("_HANDLER", "x.y")] {
        spec.environment.insert(name.to_owned(), value.to_owned());
    }
    let (mut instance, _) = house.start(spec).await.expect("started");
    let seen = respond(&mut instance, "{}").await;
    let env = &seen["env"];
    for (name, value) in [
        ("MINE", "1"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("TZ", "Europe/Berlin"),
        ("_HANDLER", "app.handler"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11"),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SESSION_TOKEN", "token"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    assert_eq!((&seen["path"][0], &seen["cwd"]), (&"/var/task".into(), &"/var/task".into()));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_is_in_the_log_when_the_answer_is() {
    let house = House::open().await;
    let code = "import sys\nprint('init')\ndef handler(e, c):\n    print('one')\n    sys.stderr.write('two\\n')\n    print('x' * 60000, end='')\n";
    let mut instance = house.python(code).await;
    let first = invocation("{}", house::LIMIT);
    let id = first.request_id;
    assert!(matches!(instance.invoke(first).await, Ending::Response(_)));
    let printed = house.lines.printed();
    assert_eq!(printed[0], (None, "init".to_owned()));
    let own: Vec<usize> = printed.iter().filter(|(of, _)| *of == Some(id)).map(|(_, text)| text.len()).collect();
    assert_eq!(own.iter().sum::<usize>(), 60_006, "{own:?}");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_hangs_is_killed_at_its_deadline() {
    let house = House::open().await;
    let mut instance = house.python("import time\ndef handler(e, c):\n    print('in')\n    time.sleep(1000)\n").await;
    let ending = instance.invoke(invocation("{}", Duration::from_secs(2))).await;
    assert!(matches!(ending, Ending::Timeout), "{ending:?}");
    assert_eq!(house.lines.printed()[0].1, "in");
    tokio::time::timeout(house::LIMIT, instance.ended()).await.expect("it has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_as_what_they_are() {
    let house = House::open().await;
    for (code, status) in [
        ("import os; os._exit(3)", "exit status 3"),
        ("import sys; sys.exit(4)", "exit status 4"),
        ("import os; os.kill(os.getpid(), 11)", "signal: segmentation fault"),
        ("import os; os.closerange(3, 64); import time; time.sleep(1000)", "signal: killed"),
    ] {
        let mut instance = house.python(&format!("def handler(e, c):\n    {code}\n")).await;
        match invoke(&mut instance, "{}").await {
            Ending::Exited { status: told } => assert_eq!(told, status, "{code}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_runs_out_of_memory() {
    let house = House::open().await;
    let code = "def handler(e, c):\n    a = []\n    while True:\n        a.append(bytearray(1 << 20))\n";
    let mut spec = house.spec("python3.11", "app.handler", &[("app.py", code)]);
    spec.memory_mb = 128;
    let (mut instance, _) = house.start(spec).await.expect("started");
    // So little memory comes with so little of a core that an emulated machine needs its time to fill it.
    let ending = instance.invoke(invocation("{}", LIMIT * 5)).await;
    assert!(matches!(ending, Ending::OutOfMemory), "{ending:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_answers_out_of_bounds_leave_the_instance_idle() {
    let house = House::open().await;
    let code = "import os\ndef handler(e, c):\n    if e == 1:\n        raise ValueError('boom')\n    if e == 2:\n        \
                return 'x' * 7340032\n    if e == 3:\n        head = c.aws_request_id.encode()\n        for answer in b'5', b'6':\n            \
                os.write(3, b'R' + len(head).to_bytes(4, 'little') + (1).to_bytes(4, 'little') + head + answer)\n    \
                if e == 4:\n        for _ in range(2000):\n            try:\n                \
                if os.fork() == 0:\n                    import time; time.sleep(1000)\n            \
                except OSError:\n                return 'no more'\n    return e\n";
    let mut instance = house.python(code).await;
    assert!(matches!(invoke(&mut instance, "1").await, Ending::Error { error_type, .. } if error_type == "ValueError"));
    assert!(matches!(invoke(&mut instance, "2").await, Ending::ResponseTooLarge { size_bytes: 7_340_034 }));
    assert_eq!(respond(&mut instance, "3").await, 5, "the first answer counts");
    assert_eq!(respond(&mut instance, "9").await, 9, "answers too many belong to nothing");
    assert_eq!(respond(&mut instance, "4").await, "no more");
    assert_eq!(respond(&mut instance, "9").await, 9);
    instance.freeze().await;
    instance.thaw().await;
    assert_eq!(respond(&mut instance, "9").await, 9);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_says_why() {
    let house = House::open().await;
    let none: &[(&str, &str)] = &[];
    let cases = [
        ("python3.11", "app.handler", &[("app.py", "import nope\n")][..], "Runtime.ImportModuleError"),
        ("python3.11", "app.handler", &[("app.py", "raise SystemExit(1)\n")][..], "Runtime.ExitError"),
        ("nodejs20.x", "app.handler", none, "Runtime.ImportModuleError"),
        ("provided.al2023", "x", none, "Runtime.InvalidEntrypoint"),
        ("provided.al2023", "x", &[("bootstrap", "#!/bin/sh\n")][..], "Runtime.InvalidEntrypoint"),
        ("provided.al2023", "x", &[("bootstrap!", "no program\0")][..], "Runtime.InvalidEntrypoint"),
        ("provided.al2023", "x", &[("bootstrap!", "#!/bin/sh\nexit 7\n")][..], "Runtime.ExitError"),
    ];
    for (runtime, handler, files, expected) in cases {
        match house.start(house.spec(runtime, handler, files)).await.map(|_| ()) {
            Err(StartError::Function { error_type, body, .. }) => {
                assert_eq!(error_type, expected, "{runtime} {files:?}");
                assert!(body.starts_with(b"{"), "{body:?}");
            }
            other => panic!("{runtime} {files:?}: {other:?}"),
        }
    }
    let mut slow = house.spec("python3.11", "app.handler", &[("app.py", "import time\ntime.sleep(1000)\n")]);
    slow.init_timeout = Duration::from_secs(2);
    assert!(matches!(house.start(slow).await.map(|_| ()), Err(StartError::Timeout { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_the_functions_own_speaks_http() {
    let house = House::open().await;
    // The smallest client that there is: a shell with nothing but bash's own sockets.
    let program = "#!/bin/bash\nset -e\nwhile true; do\n\
        exec 5<>/dev/tcp/127.0.0.1/9001\n\
        printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n' >&5\n\
        length=0\nwhile IFS= read -r line <&5; do line=${line%$'\\r'}; [ -z \"$line\" ] && break\n\
        case \"$line\" in lambda-runtime-aws-request-id:*) id=${line#*: };; content-length:*) length=${line#*: };; esac; done\n\
        IFS= read -r -N \"$length\" body <&5\n\
        printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: %s\\r\\n\\r\\n%s' \"$id\" \"${#body}\" \"$body\" >&5\n\
        read -r line <&5\nexec 5>&-\ndone\n";
    let (mut instance, report) = house
        .start(house.spec("provided.al2023", "x", &[("bootstrap!", program)]))
        .await
        .unwrap_or_else(|error| panic!("{error} {:?}", house.lines.printed()));
    assert_eq!(report.runtime_version, "provided:al2023");
    for n in 0..3 {
        assert_eq!(respond(&mut instance, &n.to_string()).await, n);
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_runtime_has_a_state_and_what_is_missing_has_a_remedy() {
    let house = House::open().await;
    let all = house.driver.runtimes();
    assert!(all.len() >= 15, "{all:?}");
    for (name, state) in all {
        assert!(state.exact || state.remedy.is_some(), "{name}: {state:?}");
    }
    assert!(house.driver.runtime("cobol85").is_none());
    house.jailer.stop().await;
}
