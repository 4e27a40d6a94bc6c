# A run's directory as music_train writes it, made up; sourced.
# made_run FOLDER STEPS LOSS: the loss comes down to LOSS, in four epochs, with a
# spike of 987.5 at the step before the last.
made_run() {
  mkdir -p "$1"/{eval,logs,ckpt}
  awk -v n="$2" -v end="$3" 'BEGIN {
    print "{\"argv\":\"music_train --data x\",\"music\":\"0.1.0\",\"config_hash\":\"0\"}"
    for (i = 0; i < n; ++i) {
      loss = i == n - 2 ? 987.5 : end + 2 * exp(-5 * i / n)
      printf "{\"epoch\":%d,\"step\":%d,\"loss\":%.6f,\"time\":%.2f,\"lr\":%.5f," \
             "\"loss_oe\":%.6f,\"uniform_oe\":-5,\"best_oe\":-5,\"oe_floor\":-4," \
             "\"usage_entropy\":0.9,\"usage_entropy_min\":0.8,\"agreement\":%.4f," \
             "\"images_per_s\":%d,\"data_wait\":0.01,\"skipped_steps\":0,\"bad_images\":0}\n",
             int(4 * i / n), i, loss, i / 10, 0.1001 - 0.1 * i / n, loss - 1, i / n, 400 + i % 7
    }
  }' >"$1/metrics.jsonl"
  printf '[method]\nname = "music"  # flag\n\n[train]\nepochs = 4  # flag\nbatch = %d  # default\n' \
    "$2" >"$1/config.toml"
  echo '{"host":"h","cpu":{"model":"c"},"threads":{"compute":2}}' >"$1/env.json"
  printf '10:00:00 info [run] computes on cpu, fp32\n10:00:09 info [health] epoch 4: healthy\n' \
    >"$1/logs/rank-0000.log"
  echo '{"record":1,"program":"music_knn","protocol":{"id":"knn","hash":"12ab","settings":{"k":20}},
    "data":{"test":{"images":50,"fingerprint":"f"}},"seeds":[0],"scores":[{"name":"20-NN top-1",
    "unit":"%","value":41.5,"deviation":null,"chance":10,"random_initialisation":20.25}]}' \
    >"$1/eval/knn.json"
  echo '{"epoch":4,"step":'"$2"',"knn20":41.5}' >"$1/eval/knn_during_training.jsonl"
  : >"$1/encoder.safetensors"
}
