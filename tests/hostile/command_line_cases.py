"""What the generated command lines are made of: tiny right lines and single mistakes."""

# Capped at one training step, or as little as a main can do.
TINY = {
    "train": "--epochs=1 --finetune_epochs=1 --train_examples=20 --batch_size=20 --attack_steps=1 "
    "--backbone=small(width=2) --attacks=fgsm --examples=10",
    "evaluate": "--examples=10 --attacks=fgsm",
    "export": "",
    "benchmark": "--methods=ce --backbones=small(width=2) --image_shape=8,8,1 --batch_sizes=8 "
    "--rounds=1 --steps=1 --attack_steps=1",
}
TINY["study"] = f"--methods=ce --seeds=1 {TINY['train']}"

METHODS = [
    *("ae_supcon", "anchor", "ce", "clead", "fat", "margin_supcon", "mart", "pgd_at", "rocl"),
    *("supcon", "trades", "trades(beta=1/2)", "anchor(beta=0)", "anchor(views=3)"),
    *("clead(labels=true)", "margin_supcon(margin=1)"),
]
RIGHT = {
    "train": [
        *(f"--method={method}" for method in METHODS),
        "--augment=none",
        "--augment=crop(padding=1),flip,cutout(size=2)",
        "--attacks=bim(steps=2),mim(steps=2,decay=0)",
        "--attacks= pgd( steps = 2 , step_size=2/255 )",
        "--epsilon=8/255",
        "--norm=l2 --epsilon=0.5",
        "--finetune=none",
        "--finetune=aff",
        "--finetune_optimizer=adam",
        "--learning_rate=0",
        "--ema_decay=0.9 --awp=0.01 --label_smoothing=0.1",
        "--training_attack=n_fgsm",
        "--select=best",
        "--precision=bfloat16",
        "--fold=4",
        "--virtual_devices=2",
        "--seed=2147483647",
    ],
    "evaluate": [
        "--attacks=pgd(steps=2,restarts=2)",
        "--attacks=cw(steps=1),fgsm",
        "--attacks=apgd(steps=2)",
        "--attacks=square(queries=3)",
        "--norm=linf,l2 --epsilon=0.1",
        "--epsilon=0",
        "--epsilon=8/255,0.1",
        "--batch_size=3",
        "--out={folder}/out",
        "--save_examples={folder}/examples.npz",
    ],
    "export": ["--verbosity=-1", "--format=tflite"],
    "study": ["--seeds=2", "--methods=ce, pgd_at", "--equal_passes"],
    "benchmark": ["--precisions=float32,bfloat16", "--methods=ce,anchor", "--json={folder}/a.json"],
}
# Flags that go with all others.
HARMLESS = [
    "--epsilon=8/255",
    "--seed=2147483647",
    "--verbosity=-1",
    "--weight_decay=0",
    "--xla=off",
    "--projector_every=1 --profile=1",
]

INTEGERS = {
    "train": "epochs finetune_epochs batch_size train_examples attack_steps examples seed fold "
    "validate_every virtual_devices projector_every profile",
    "study": "epochs finetune_epochs batch_size train_examples attack_steps examples seeds "
    "validate_every virtual_devices",
    "evaluate": "batch_size examples seed",
    "export": "seed",
    "benchmark": "classes attack_steps rounds steps train_examples epochs virtual_devices",
}
FLOATS = "clip_norm learning_rate finetune_learning_rate weight_decay warmup_epochs ramp_epochs awp"
CHOICES = "batch_norm finetune finetune_optimizer training_attack precision select strategy xla"

# Values of flags that take specs, and what the answer must name beside the flag.
SPECS = {
    "method": [
        ("ancor", "ancor"),
        ("anchor(bta=1)", "bta"),
        ("anchor(views=4)", "views"),
        ("anchor(temperature=0)", "temperature"),
        ("trades(beta=x)", "beta"),
        ("pgd_at(", "pgd_at("),
        ("anchor(beta=1,beta=2)", "beta"),
        ("../ce", "../ce"),
        ("margin_supcon(margin=1e999)", "margin"),
    ],
    "attacks": [
        ("pdg", "pdg"),
        ("fgsm,pgd(steps=0)", "steps"),
        ("fgsm,fgsm", "fgsm"),
        ("pgd(steps=1.5)", "steps"),
        ("cw(steps=0)", "steps"),
        ("autoattack(version=fast)", "version"),
        ("pgd(objective=dlr)", "objective"),
        ("fgsm(steps=1)", "steps"),
        ("square(queries=0)", "queries"),
        ("pgd)", "pgd)"),
        ("__import__('os')", "__import__"),
    ],
    "backbone": [
        ("resnet(depth=19)", "depth"),
        ("small(width=0)", "width"),
        ("rsnet", "rsnet"),
        ("wide_resnet(depth=29)", "depth"),
    ],
    "augment": [
        ("crop(padding=-1)", "padding"),
        ("flop", "flop"),
        ("cutout(size=0)", "size"),
        ("color_jitter(hue=1)", "hue"),
        ("crop(pading=1)", "pading"),
    ],
    "dataset": [
        ("digit", "digit"),
        ("digits(x=1)", "digits"),
        ("npz", "path"),
        ("npz(path={folder}/none.npz)", "none.npz"),
        ("npz(path={hostile}/garbage.npz)", "garbage.npz"),
        ("npz(path={hostile}/pickled.npz)", "pickled.npz"),
        ("npz(path={hostile}/truncated.npz)", "truncated.npz"),
        ("folder(path={folder}/none)", "none"),
        ("folder(path={hostile}/images)", "bad.png"),
        ("folder(path={hostile}/images,image_size=0)", "image_size"),
        ("folder(path={hostile}/images,damaged=ignore)", "damaged"),
        ("cifar10", "cifar10"),
    ],
}
SPECS["methods"] = [*SPECS["method"], ("ce,ce", "ce"), (",", "methods")]
FAMILIES = {
    "method": "anchor_tf.methods",
    "methods": "anchor_tf.methods",
    "attacks": "anchor_tf.attacks",
    "backbone": "anchor_tf.backbones",
    "augment": "anchor_tf.pipelines.augmentations",
    "dataset": "anchor_tf.pipelines.sources",
}
SPECS_OF = {
    "train": ["method", "attacks", "backbone", "augment", "dataset"],
    "study": ["methods", "attacks", "backbone", "augment", "dataset"],
    "evaluate": ["attacks", "dataset"],
}

# Whole mistakes: flags, and what the answer must name.
OTHERS = {
    "train": [
        ("--epochs=0", "epochs"),
        ("--norm=l1", "norm"),
        ("--norm=l2", "epsilon"),
        ("--norm=linf,l2 --epsilon=0.1", "norm"),
        ("--epsilon=8", "epsilon"),
        ("--epsilon=1/0", "epsilon"),
        ("--epsilon=-0.1", "epsilon"),
        ("--epsilon=nan", "epsilon"),
        ("--epsilon=0.1,0.2", "epsilon"),
        ("--norm=l2 --epsilon=99", "epsilon"),
        ("--train_examples=5000", "train_examples"),
        ("--examples=361", "examples"),
        ("--batch_size=21", "batch_size"),
        ("--label_smoothing=1", "label_smoothing"),
        ("--ema_decay=1", "ema_decay"),
        ("--strategy=one --virtual_devices=2", "virtual_devices"),
        ("--strategy=multiworker", "multiworker"),
        ("--precision=float16 --virtual_devices=2", "float16"),
        ("--virtual_devices=3", "virtual_devices"),
        ("--init_from={folder}/none", "init_from"),
        ("--init_from={hostile}/garbage_run", "garbage_run"),
        ("--init_from={hostile}/wrong_run", "wrong_run"),
        ("--workdir={hostile}/images", "images"),
        ("--workdir={hostile}/garbage.npz", "garbage.npz"),
        ("--workdir={hostile}/garbage.npz/run", "garbage.npz"),
        ("--workdir=/proc/run", "/proc/run"),
        ("--workdir={folder}/\udcff\x1b[2J", "workdir"),
        ("--flagfile={folder}/none.flags", "none.flags"),
        ("--flagfile={hostile}/garbage.npz", "flagfile"),
        ("--awp", "awp"),
        ("anchor", "anchor"),
    ],
    "evaluate": [
        ("--attacks=", "attacks"),
        ("--norm=l1", "norm"),
        ("--norm=linf,l2", "epsilon"),
        ("--norm= --epsilon=0.1", "norm"),
        ("--epsilon=2", "epsilon"),
        ("--epsilon=0.1,,0.2", "epsilon"),
        ("--examples=361", "examples"),
        ("--model={folder}/none.keras --dataset=digits --out={folder}/o", "model"),
        ("--model={hostile}/garbage.npz --dataset=digits --out={folder}/o", "garbage.npz"),
        ("--model={hostile}/half.keras --dataset=digits --out={folder}/o", "half.keras"),
        ("--model={hostile}/lambda.keras --dataset=digits --out={folder}/o", "lambda.keras"),
        ("--model={hostile}/program --dataset=digits --out={folder}/o", "WriteFile"),
        ("--model={hostile}/damaged --dataset=digits --out={folder}/o", "damaged"),
        ("--model={hostile}/images --dataset=digits --out={folder}/o", "images"),
        ("--model={hostile}/half.keras", "dataset"),
        ("--out=/proc/x", "out"),
        ("--strategy=multiworker", "multiworker"),
        ("--save_examples=/proc/x/y.npz", "save_examples"),
        ("--save_examples={hostile}/images", "save_examples"),
        ("--workdir={folder}/none", "none"),
        ("--workdir={hostile}/garbage_run", "garbage_run"),
        ("--workdir={hostile}/wrong_run", "wrong_run"),
        ("--workdir=", "workdir"),
        ("--dataset=npz(path={hostile}/rgb.npz)", "dataset"),
        ("fgsm", "fgsm"),
    ],
    "export": [
        ("--workdir={folder}/none", "none"),
        ("--workdir={hostile}/garbage_run", "garbage_run"),
        ("--workdir={hostile}/wrong_run", "wrong_run"),
        ("--workdir={hostile}/garbage.npz", "garbage.npz"),
        ("--format=onnx", "format"),
        ("out", "out"),
    ],
    "study": [
        ("--seeds=0", "seeds"),
        ("--method=ce", "method"),
        ("--seed=1", "seed"),
        ("--fold=1", "fold"),
        ("--seeds=2 --cross_validate", "seeds"),
        ("--cross_validate=maybe", "cross_validate"),
        ("--epochs=0 --equal_passes", "epochs"),
        ("--examples=361", "examples"),
        ("--train_examples=5000", "train_examples"),
        ("--virtual_devices=3", "virtual_devices"),
        ("--init_from={folder}/none", "init_from"),
        ("--workdir={hostile}/images", "images"),
        ("--workdir=/proc/study", "workdir"),
        ("--workdir={hostile}/garbage_study", "garbage_study"),
    ],
    "benchmark": [
        ("--methods=ancor", "ancor"),
        ("--methods=,", "methods"),
        ("--methods=anchor(temperature=0)", "temperature"),
        ("--backbones=small(width=0)", "width"),
        ("--precisions=float8", "precisions"),
        ("--xla=on,maybe", "xla"),
        ("--batch_sizes=0", "batch_sizes"),
        ("--batch_sizes=a", "batch_sizes"),
        ("--image_shape=8,8", "image_shape"),
        ("--image_shape=8,8,-1", "image_shape"),
        ("--epsilon=0.1,0.2", "epsilon"),
        ("--norm=l2,linf", "norm"),
        ("--json=/proc/x.json", "json"),
        ("--json={hostile}/images", "json"),
        ("--strategy=multiworker", "multiworker"),
        ("--strategy=one --virtual_devices=2", "virtual_devices"),
    ],
}
# What shows only when TensorFlow or Keras reads the file.
LATE = ("lambda.keras", "WriteFile", "damaged")
